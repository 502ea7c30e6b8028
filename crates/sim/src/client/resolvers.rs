//! Loading and deleting the resolver.

use isles_replica::{Expiry, Txn};

use super::sets::rule_said;
use super::{Draft, definition_key};
use crate::command::PREFIX;
use crate::resolvers::{Rule, lens, name, register};

impl Draft<'_> {
    pub(super) fn run_resolver(
        &mut self,
        txn: &mut Txn<'_>,
        rule: Option<Rule>,
    ) -> Result<(), String> {
        let Some(rule) = rule else {
            return self.delete_resolver(txn);
        };
        self.set(&register(), &rule.stored(), Expiry::Keep);
        txn.resolver_set(&name(), rule.module(), rule.limits());
        Ok(())
    }

    fn delete_resolver(&mut self, txn: &mut Txn<'_>) -> Result<(), String> {
        let is_read_by_it = |prefix: &[u8]| {
            let definition = self.state(&definition_key(prefix));
            let named = definition.lww_value();
            named.is_some_and(|named| rule_said(named).0 == lens().name().as_bytes())
        };
        if is_read_by_it(PREFIX) || is_read_by_it(b"") {
            return self.same(&true, &txn.resolver_delete(&name()).is_err());
        }
        let there = self.visible(&register()).is_some();
        if there {
            self.clear(&register());
        }
        self.same(&Ok(there), &txn.resolver_delete(&name()))
    }
}
