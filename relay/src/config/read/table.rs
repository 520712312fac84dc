use std::{collections::HashSet, hash::Hash};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
    value::Datetime,
};

use super::{
    fault::Fault,
    findings::Findings,
    instant,
    keys::{ANY, Absent, Key, Kind, Table},
    place::{Located, Place},
    shown::{shown, shown_key},
    unknown::unknown,
};

/// The valid values of a list; `complete` if that is all of them.
#[derive(Debug, Clone)]
pub(super) struct List<T> {
    pub(super) items: Vec<Located<T>>,
    pub(super) complete: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), complete: true }
    }
}

impl<T> List<T> {
    /// For what is no list.
    pub(super) const fn wrong() -> Self {
        Self { items: Vec::new(), complete: false }
    }
}

/// Reads one TOML table by its keys. An absent value gives `None`, a wrong one `None` and a finding.
pub(super) struct TableReader<'t, 'f> {
    table: &'t DeTable<'t>,
    place: Place,
    label: &'t str,
    keys: &'static Table,
    findings: &'f mut Findings,
}

impl<'t, 'f> TableReader<'t, 'f> {
    /// Reads `table` as one of `keys`, and reports unknown and missing keys. Problems call it
    /// `label`.
    pub(super) fn new(
        table: &'t DeTable<'t>,
        place: Place,
        label: &'t str,
        keys: &'static Table,
        findings: &'f mut Findings,
    ) -> Self {
        let names = || keys.keys.iter().map(|key| key.name).collect::<Vec<_>>();
        for key in table.keys() {
            let name = key.get_ref();
            if keys.key(name).or(keys.key(ANY)).is_none() {
                let place = Place { offset: key.span().start, ..place };
                findings.present(
                    place,
                    format!("{label}.{}", shown_key(name)),
                    unknown(name, keys.header, &names()),
                );
            }
        }
        let reader = Self { table, place, label, keys, findings };
        for Key { name, .. } in keys.keys.iter().filter(|key| key.absent == Absent::Error) {
            if !table.contains_key(*name) {
                let fault = Fault::new("is missing", format!("add {}", reader.example(name)));
                reader.findings.misplaced(place, reader.key(name), fault);
            }
        }
        reader
    }

    /// A string that `parse` accepts.
    pub(super) fn text<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<Located<T>> {
        let value = self.value(name)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(name, value, "a string");
            return None;
        };
        self.keep(name, value, parse(text))
    }

    /// An integer within the bounds of the key.
    pub(super) fn number<T: TryFrom<u32>>(&mut self, name: &str) -> Option<Located<T>> {
        let value = self.value(name)?;
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(name, value, "an integer");
            return None;
        };
        let (low, high) = match self.keys.key(name).map(|key| &key.kind) {
            Some(&Kind::Integer(low, high)) => (low, high),
            Some(_) | None => unreachable!("{name} is not a key that takes an integer"),
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| (low..=high).contains(number));
        let number = number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
            Fault::new(
                format!("{} is outside {low} to {high}", shown_number(&integer.to_string())),
                format!("write {}", self.example(name)),
            )
        });
        self.keep(name, value, number)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, name: &str) -> Option<Located<bool>> {
        let value = self.value(name)?;
        let Some(boolean) = value.get_ref().as_bool() else {
            self.wrong_type(name, value, "true or false");
            return None;
        };
        self.keep(name, value, Ok(boolean))
    }

    /// A list of different strings that `parse` accepts.
    pub(super) fn list<T: Clone + Eq + Hash>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<List<T>> {
        let value = self.value(name)?;
        let Some(array) = value.get_ref().as_array() else {
            if let Some(text) = value.get_ref().as_str() {
                let remedy = format!("write {name} = [{}]", shown(text));
                let fault = Fault::new("is a string, not a list", remedy);
                self.findings.present(self.at(value), self.key(name), fault);
            } else {
                self.wrong_type(name, value, "a list");
            }
            return None;
        };
        let mut list = List::default();
        let mut seen = HashSet::new();
        let is_alone = array.len() == 1;
        for element in array.iter() {
            let item = match element.get_ref().as_str() {
                Some(text) => {
                    let parsed = parse(text).and_then(|value| {
                        match is_alone || seen.insert(value.clone()) {
                            true => Ok(value),
                            false => {
                                let problem = format!("{} is listed twice", shown(text));
                                Err(Fault::new(problem, "remove one"))
                            }
                        }
                    });
                    self.keep(name, element, parsed)
                }
                None => {
                    let found = article(element.get_ref());
                    let fault = Fault::new(
                        format!("contains {found}, not a string"),
                        format!("write {}", self.example(name)),
                    );
                    self.findings.present(self.at(element), self.key(name), fault);
                    None
                }
            };
            match item {
                Some(item) => list.items.push(item),
                None => list.complete = false,
            }
        }
        Some(list)
    }

    /// A list that must not be empty. An absent or wrong one is incomplete.
    pub(super) fn some<T: Clone + Eq + Hash>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Fault>,
        remedy: &str,
    ) -> List<T> {
        match self.list(name, parse) {
            Some(list) if list.items.is_empty() && list.complete => {
                self.report_key(name, Fault::new("is empty", remedy));
                List { complete: false, ..list }
            }
            Some(list) => list,
            None => List::wrong(),
        }
    }

    /// A date and time with an offset, as seconds since 1970-01-01T00:00:00Z.
    pub(super) fn instant(&mut self, name: &str) -> Option<Located<u64>> {
        let value = self.value(name)?;
        if let DeValue::Datetime(time) = value.get_ref() {
            let example = self.example(name);
            return self.keep(name, value, instant::seconds(time, &example));
        }
        match value.get_ref().as_str().filter(|text| text.parse::<Datetime>().is_ok()) {
            Some(text) => {
                let remedy = format!("write {name} = {text}");
                let fault = Fault::new("is a string, not a date and time", remedy);
                self.report(name, value, fault);
            }
            None => self.wrong_type(name, value, "a date and time"),
        }
        None
    }

    /// The value of `name` in TOML, for keys of more than one type.
    pub(super) fn value(&self, name: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.get(name)
    }

    /// Reports `fault` of the value of `name`.
    pub(super) fn report_key(&mut self, name: &str, fault: Fault) {
        if let Some(value) = self.value(name) {
            self.report(name, value, fault);
        }
    }

    /// Reports `fault` of `value`, a part of the value of `name`.
    pub(super) fn report(&mut self, name: &str, value: &Spanned<DeValue<'_>>, fault: Fault) {
        self.findings.present(self.at(value), self.key(name), fault);
    }

    /// Reports that `value` is not of the type of `name`.
    pub(super) fn wrong_type(&mut self, name: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let problem = format!("is {}, not {wanted}", article(value.get_ref()));
        let remedy = format!("write {}", self.example(name));
        self.report(name, value, Fault::new(problem, remedy));
    }

    fn keep<T>(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        parsed: Result<T, Fault>,
    ) -> Option<Located<T>> {
        match parsed {
            Ok(parsed) => Some(Located { value: parsed, place: self.at(value) }),
            Err(fault) => {
                self.report(name, value, fault);
                None
            }
        }
    }

    fn at(&self, value: &Spanned<DeValue<'_>>) -> Place {
        Place { offset: value.span().start, ..self.place }
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.label)
    }

    /// The key with its example.
    fn example(&self, name: &str) -> String {
        let key = self.keys.key(name).or(self.keys.key(ANY));
        let example = key.map_or("", |key| key.example);
        format!("{name} = {example}")
    }
}

fn shown_number(text: &str) -> String {
    if text.len() > 20 { "the number".to_owned() } else { text.to_owned() }
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
