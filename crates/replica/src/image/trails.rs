//! Components as the row of the table keeps them, with what is known of recent changes and deletions beside them.

use std::borrow::Cow;

use super::{ImageError, StoredComponent, stored_component};
use crate::op::Kind;
use crate::row::{Component, Row};
use crate::trail::Trail;

/// Every component, and then the trails, of components that may be gone.
pub(super) fn stored_components(row: &Row) -> Vec<StoredComponent<'_>> {
    let trails = row.components.iter().filter_map(|component| {
        let trail = Cow::Borrowed(component.trail()?);
        Some(StoredComponent::Trail(component.kind() as u8, trail))
    });
    let there = row.components.iter().filter(|each| !each.is_only_trail());
    there.map(stored_component).chain(trails).collect()
}

/// Puts a trail to its component.
pub(super) fn load(row: &mut Row, kind: u8, trail: Trail) -> Result<(), ImageError> {
    let component = Kind::from_tag(kind).and_then(|kind| row.component_mut(kind));
    let place = component.and_then(Component::trail_mut);
    let place = place.ok_or_else(|| {
        ImageError::Content(format!("kind {kind} has no names to keep a trail of"))
    })?;
    *place = Some(Box::new(trail));
    Ok(())
}
