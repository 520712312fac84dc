/// Declares an enum whose variants each carry an index of the ABI, a label, a sentence and one more
/// attribute. The sentence is the variant's documentation.
macro_rules! labelled {
    (
        $(#[$meta:meta])+
        pub enum $Enum:ident;
        $(#[doc = $attribute_doc:literal])+
        $attribute:ident: $Attribute:ty;
        $($(#[doc = $doc:literal])+ $name:ident = $index:literal, $label:literal, $value:expr;)+
    ) => {
        $(#[$meta])+
        ///
        /// Labels are spelled the same in text, JSON and Prometheus. Indices are part of the ABI.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum $Enum {
            $($(#[doc = $doc])+ $name = $index,)+
        }

        impl $Enum {
            /// All variants, in the order of their indices.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Number of variants.
            pub const COUNT: usize = Self::ALL.len();

            /// Index in the ABI.
            pub const fn index(self) -> u32 {
                self as u32
            }

            /// The variant with this index.
            pub fn from_index(index: u32) -> Option<Self> {
                Self::ALL.get(usize::try_from(index).ok()?).copied()
            }

            /// The variant with this label.
            pub fn from_label(label: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.label() == label)
            }

            /// Spelling in every output.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }

            /// Meaning, as one or more sentences.
            pub const fn describe(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc,)+).trim_ascii(),)+
                }
            }

            $(#[doc = $attribute_doc])+
            pub const fn $attribute(self) -> $Attribute {
                match self {
                    $(Self::$name => $value,)+
                }
            }
        }

        #[cfg(test)]
        mod declaration {
            use super::$Enum;

            #[test]
            fn indices_are_positions_and_labels_are_unique() {
                for (position, one) in $Enum::ALL.iter().enumerate() {
                    assert_eq!(one.index() as usize, position);
                    assert_eq!($Enum::from_index(one.index()), Some(*one));
                    assert_eq!($Enum::from_label(one.label()), Some(*one));
                    assert_eq!($Enum::ALL.iter().filter(|o| o.label() == one.label()).count(), 1);
                    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
                    assert!(one.label().bytes().all(is_plain));
                    assert!(one.describe().ends_with('.'));
                }
                let last = $Enum::ALL.last().map_or(0, |one| one.index());
                assert_eq!($Enum::from_index(last + 1), None);
            }
        }
    };
}
