//! What XPENDING and XINFO answer.

use isles_replica::{GroupError, PendingQuery, StreamId, Txn};

use super::Draft;
use crate::command::Bytes;

impl Draft<'_> {
    /// XPENDING, XINFO GROUPS and XINFO CONSUMERS.
    pub(super) fn group_show(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        name: &[u8],
    ) -> Result<(), String> {
        let group = self.group(key, name);
        let group = group
            .as_ref()
            .map_err(|error| *error)
            .map(|(_, group, _)| group);
        let query = PendingQuery {
            from: StreamId::ZERO,
            to: StreamId::MAX,
            count: usize::MAX,
            idle_ms_min: 0,
            consumer: None,
        };
        let pending = txn.group_pending(key, name, query).map(|rows| {
            let rows = rows.into_iter();
            rows.map(|row| (row.id, (row.consumer, row.at_ms, row.count)))
                .collect::<Vec<_>>()
        });
        let expected = group.map(|group| {
            let names = group.pending.keys();
            names
                .filter_map(|name| Some((name.0, group.holder(name)?.clone())))
                .collect::<Vec<_>>()
        });
        self.same(&expected, &pending)?;
        let consumers = txn.group_consumers(key, name).map(|consumers| {
            let each = consumers.into_iter();
            each.map(|each| (each.name, each.seen_ms, each.pending))
                .collect::<Vec<_>>()
        });
        let expected = group.map(|group| {
            let holds = |name: &Bytes| {
                let mut holders = group.pending.keys().filter_map(|entry| group.holder(entry));
                holders.by_ref().filter(|holder| holder.0 == *name).count()
            };
            let each = group.consumers.iter().map(|(name, seen)| {
                (
                    name.clone(),
                    seen.values().copied().max().unwrap_or(0),
                    holds(name),
                )
            });
            each.collect::<Vec<_>>()
        });
        self.same(&expected, &consumers)?;
        let last = txn.group_list(key).map(|groups| {
            let named = groups.into_iter().find(|group| group.name == name);
            named.map(|group| (group.last, group.pending))
        });
        let expected = match group {
            Ok(group) => Ok(Some((group.last(), group.pending.len()))),
            Err(GroupError::WrongType) => Err(GroupError::WrongType),
            Err(_) => Ok(None),
        };
        self.same(&expected, &last)
    }
}
