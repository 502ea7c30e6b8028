//! The net effect of several ops of one entry on the members of a set, the fields of a map, or the members of a sorted set.

use std::collections::HashMap;

use crate::op::{Blob, FieldPut, FieldRemoval, FieldTally, FieldsPart, SetPart};

/// What parts that follow each other do to a set, in O(1) for each member that one of them names.
#[derive(Debug, Default)]
pub(super) struct SetDraft<'a> {
    places: HashMap<Blob<'a>, usize>,
    members: Vec<MemberDraft<'a>>,
}

#[derive(Debug)]
struct MemberDraft<'a> {
    name: Blob<'a>,
    removed: bool,
    added: bool,
}

impl<'a> SetDraft<'a> {
    /// Adds what follows. What it removes of the additions before it was never there.
    pub(super) fn absorb(&mut self, later: SetPart<'a>) {
        for name in later.remove {
            let member = self.of(name);
            (member.removed, member.added) = (true, false);
        }
        for name in later.add {
            self.of(name).added = true;
        }
    }

    /// The same where removals win: each member's last change is what remains, for an addition must not meet the removal of its
    /// own entry.
    pub(super) fn into_last(mut self) -> SetPart<'a> {
        let members = self.members.iter_mut();
        members.for_each(|member| member.removed &= !member.added);
        self.into_part()
    }

    /// Everything that was named, removed: what a removal of the whole set makes of it.
    pub(super) fn remove_all(&mut self) {
        let members = self.members.iter_mut();
        members.for_each(|member| (member.removed, member.added) = (true, false));
    }

    pub(super) fn into_part(self) -> SetPart<'a> {
        let named = |wanted: fn(&MemberDraft<'a>) -> bool| {
            let members = self.members.iter().filter(move |member| wanted(member));
            members.map(|member| member.name).collect()
        };
        SetPart {
            remove: named(|member| member.removed),
            add: named(|member| member.added),
        }
    }

    fn of(&mut self, name: Blob<'a>) -> &mut MemberDraft<'a> {
        let members = &mut self.members;
        let place = *self.places.entry(name).or_insert_with(|| {
            members.push(MemberDraft {
                name,
                removed: false,
                added: false,
            });
            members.len() - 1
        });
        &mut self.members[place]
    }
}

/// The same for what has values and counters.
#[derive(Debug)]
pub(super) struct FieldsDraft<'a, V> {
    places: HashMap<Blob<'a>, usize>,
    fields: Vec<FieldDraft<'a, V>>,
}

#[derive(Debug)]
struct FieldDraft<'a, V> {
    removal: Option<FieldRemoval<'a>>,
    put: Option<FieldPut<'a, V>>,
    add: Option<FieldTally<'a>>,
}

impl<V> Default for FieldsDraft<'_, V> {
    fn default() -> Self {
        FieldsDraft {
            places: HashMap::new(),
            fields: Vec::new(),
        }
    }
}

impl<'a, V> FieldsDraft<'a, V> {
    /// Adds what follows. A value or a removal takes the increments before it away, an increment nothing.
    pub(super) fn absorb(&mut self, later: FieldsPart<'a, V>) {
        for removal in later.remove {
            let field = self.of(removal.field);
            (field.put, field.add) = (None, None);
            field.removal = Some(removal);
        }
        for put in later.put {
            let field = self.of(put.field);
            field.add = None;
            field.put = Some(put);
        }
        for mut add in later.add {
            let field = self.of(add.field);
            // The later total includes the earlier one.
            add.tally.restart |= field.add.as_ref().is_some_and(|add| add.tally.restart);
            field.add = Some(add);
        }
    }

    pub(super) fn into_part(self) -> FieldsPart<'a, V> {
        let mut part = FieldsPart::default();
        for field in self.fields {
            part.remove.extend(field.removal);
            part.put.extend(field.put);
            part.add.extend(field.add);
        }
        part
    }

    fn of(&mut self, name: Blob<'a>) -> &mut FieldDraft<'a, V> {
        let fields = &mut self.fields;
        let place = *self.places.entry(name).or_insert_with(|| {
            fields.push(FieldDraft {
                removal: None,
                put: None,
                add: None,
            });
            fields.len() - 1
        });
        &mut self.fields[place]
    }
}
