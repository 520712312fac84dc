use super::fault::Fault;

/// Edits up to which a key is suggested; beyond, all keys are listed.
const NEAR_MAX: usize = 3;

/// The fault of a name that is none of `known`, the keys of `header`.
pub(super) fn unknown(name: &str, header: &str, known: &[&str]) -> Fault {
    let problem = format!("is not a key of {header}");
    let nearest = known.iter().map(|key| (distance(name, key), key)).min_by_key(|near| near.0);
    let remedy = match nearest {
        Some((_, key)) if key.strip_suffix("_file") == Some(name) => {
            format!("write {key} (keys are kept in files of mode 0600)")
        }
        Some((distance, key)) if distance <= NEAR_MAX => format!("did you mean {key}?"),
        _ => format!("the keys are {}", known.join(", ")),
    };
    Fault::new(problem, remedy)
}

/// The fault of a value that is none of `known`.
pub(super) fn unknown_value(text: &str, problem: &str, known: &[&str]) -> Fault {
    let nearest = known.iter().map(|known| (distance(text, known), known)).min();
    let remedy = match nearest {
        Some((distance, known)) if distance <= NEAR_MAX => format!("did you mean {known:?}?"),
        Some(_) | None => format!("there are {}", known.join(", ")),
    };
    Fault::new(problem, remedy)
}

/// Edits from `name` to a key; one at most if either contains the other, as `keepalive` and
/// `persistent_keepalive`.
fn distance(name: &str, key: &str) -> usize {
    const PART_MIN: usize = 4;
    let (name, key) = (plain(name), plain(key));
    let part = |part: &str, whole: &str| part.len() >= PART_MIN && whole.contains(part);
    let edits = strsim::damerau_levenshtein(&name, &key);
    if name == "psk" && key.starts_with("presharedkey") || part(&name, &key) || part(&key, &name) {
        edits.min(1)
    } else {
        edits
    }
}

/// The name without case, `_` and `-`, so that `AllowedIPs` is nearest to `allowed_ips`.
fn plain(name: &str) -> String {
    name.chars().take(64).filter(|c| !"_-".contains(*c)).flat_map(char::to_lowercase).collect()
}
