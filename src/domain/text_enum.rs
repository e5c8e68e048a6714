//! States that rest as words.
//!
//! The word stands beside its variant: who renames a variant does not rename what is stored. The derives of a crate would write the word from the variant's name, or repeat an attribute
//! for each, and answer with a trait where a method is meant.

/// Declares an enum whose variants have one word each, under which they are stored.
macro_rules! text_enum {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// The word that the state is stored under.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// The state of a stored word; `None` where no version of ours wrote it.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)* _ => None }
            }
        }
    };
}
pub(crate) use text_enum;
