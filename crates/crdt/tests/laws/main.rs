//! The laws of every type, by one suite that is generic over the traits.
//!
//! * `oracle`: what each type means, from the events alone;
//! * `subject`: a type in its three forms, and how a law is checked;
//! * `history`: random histories with loss, duplication and reordering;
//! * `explore`: all interleavings of a few writes and their deliveries;
//! * `types`: the types, a few lines each;
//! * `planted`: wrong types, which the suite must tell from right ones.

mod bounded_counter;
mod explore;
mod history;
mod hyper_log_log;
mod list;
mod oracle;
mod planted;
mod sorted_set;
mod subject;
mod types;

/// A type in its three forms: an oracle, the state, the operation-based type, and updates to try.
#[macro_export]
macro_rules! laws {
    ($name:ident: $oracle:ty, $state:ty, $op:ty, [$($update:expr),* $(,)?] $(, $scope:expr)?) => {
        mod $name {
            use super::*;

            #[derive(Clone, Debug)]
            pub(crate) struct Type;

            impl $crate::subject::Subject for Type {
                type Oracle = $oracle;
                type State = $state;
                type Op = $op;

                fn menu() -> Vec<$crate::subject::UpdateOf<Self>> {
                    vec![$($update),*]
                }
            }

            proptest::proptest! {
                #[test]
                fn on_random_histories(steps in $crate::history::steps::<Type>()) {
                    let outcome = $crate::history::check::<Type>(&steps);
                    proptest::prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
                }
            }

            #[test]
            fn in_all_small_worlds() {
                for scope in $crate::explore::SCOPES {
                    match $crate::explore::explore::<Type>(scope) {
                        Ok(coverage) => println!("{scope:?}: {coverage:?}"),
                        Err(broken) => panic!("{broken}"),
                    }
                }
            }
        }
    };
}
