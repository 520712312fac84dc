//! `docs/reference/commands.md`, from the command line's own definition.

use clap::{Arg, Command};

use crate::{
    markdown::{code, table},
    page,
};

#[test]
fn the_page_of_the_command_line_is_current() {
    let mut relay = relay::cli::command().term_width(0);
    relay.build();
    let mut text = String::from("## Global options\n");
    text.push_str(&options(relay.get_arguments().filter(|option| option.is_global_set())));
    describe_verbs(&relay, &mut text);
    page::check("commands", &text);
}

fn describe_verbs(command: &Command, text: &mut String) {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    for verb in verbs.filter(|verb| verb.get_name() != "help") {
        let name = verb.get_bin_name().expect("a built command has its whole name");
        let about = verb.get_long_about().or(verb.get_about()).expect("an about").to_string();
        text.push_str(&format!("\n## `{name}`\n\n{}\n", sentence(&about)));
        let is_group = verb.has_subcommands();
        if !is_group {
            let usage = verb.clone().render_usage().to_string();
            let usage: Vec<_> =
                usage.trim_start_matches("Usage: ").lines().map(str::trim).collect();
            let usage = usage.join("\n");
            text.push_str(&format!("\n```text\n{usage}\n```\n"));
            let own = |option: &&Arg| !option.is_global_set() && !option.is_hide_set();
            let all: Vec<_> = verb.get_arguments().filter(own).collect();
            text.push_str(&options(all.into_iter()));
        }
        if let Some(after) = verb.get_after_help() {
            text.push_str(&format!("\n```text\n{}\n```\n", after.to_string().trim_end()));
        }
        describe_verbs(verb, text);
    }
}

/// A table of options and positional arguments; nothing where there are none.
fn options<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let rows: Vec<_> = arguments
        .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
        .map(|argument| [code(&spelled(argument)), meaning(argument)])
        .collect();
    if rows.is_empty() {
        String::new()
    } else {
        format!("\n{}", table(["option", "meaning"], rows))
    }
}

/// `-f, --follow`, `--last <N>` or `<NAME>`.
fn spelled(argument: &Arg) -> String {
    let value = argument.get_value_names().filter(|_| argument.get_action().takes_values());
    let value = value.map(|names| format!("<{}>", names[0]));
    let short = argument.get_short().map(|letter| format!("-{letter}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names: Vec<_> = short.into_iter().chain(long).collect();
    let names = Some(names.join(", ")).filter(|names| !names.is_empty());
    names.into_iter().chain(value).collect::<Vec<_>>().join(" ")
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).expect("a help text").to_string();
    let mut text = sentence(&help);
    if !argument.get_action().takes_values() {
        return text;
    }
    let values: Vec<_> = argument
        .get_possible_values()
        .iter()
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({help})", value.get_name()),
            None => code(value.get_name()),
        })
        .collect();
    if !values.is_empty() {
        text.push_str(&format!(" Values: {}.", values.join(", ")));
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() {
        text.push_str(&format!(" Default: `{}`.", defaults.join(" ")));
    }
    if let Some(variable) = argument.get_env() {
        text.push_str(&format!(" Environment: `{}`.", variable.to_string_lossy()));
    }
    text
}

/// Help texts end without a full stop.
fn sentence(help: &str) -> String {
    let help = help.trim();
    let dot = if help.ends_with(['.', ':', '!', '?']) { "" } else { "." };
    format!("{help}{dot}")
}
