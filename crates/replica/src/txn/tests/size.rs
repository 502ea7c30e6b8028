//! How large one entry can be.

use super::*;
use crate::ListEnd;

#[test]
fn an_entry_above_the_limit_changes_nothing() {
    let mut a = Island::new(1);
    a.set("k", "kept");
    let huge = vec![b'x'; crate::frame::ENTRY_BYTES_MAX / 2 + 1];
    let mut txn = a.replica.txn(NOW_MS, Scope::Many);
    txn.set_string(b"k", &huge, Expiry::Clear);
    txn.set_string(b"other", &huge, Expiry::Clear);
    assert!(txn.commit().is_err());
    assert_eq!(
        (a.string("k"), a.string("other")),
        (Some("kept".into()), None)
    );
    a.replica.check().expect("what is derived fits the content");
}

// Memory grew by all that was written until the end told that it is too much.
#[test]
fn an_entry_is_refused_while_it_grows_beyond_the_limit() {
    let mut a = Island::new(1);
    a.set("k", "kept");
    let large = vec![b'x'; crate::frame::ENTRY_BYTES_MAX / 4];
    let mut txn = a.replica.txn(NOW_MS, Scope::Many);
    let grow = |txn: &mut Txn<'_>, name: u32| {
        _ = txn.list_push(b"list", ListEnd::Back, &[&large]);
        txn.set_string(&name.to_be_bytes(), &large, Expiry::Clear);
    };
    let mut names = 0..100;
    while txn.refusal().is_none() {
        grow(&mut txn, names.next().expect("it is refused long before"));
    }
    assert!(names.start <= 4, "refused after {} times", names.start);
    grow(&mut txn, 1000);
    assert_eq!(
        txn.string(&1000u32.to_be_bytes()),
        Ok(None),
        "it has no effect"
    );
    assert!(txn.commit().is_err());
    assert_eq!(
        (a.string("k"), a.string("list")),
        (Some("kept".into()), None)
    );
    a.replica.check().expect("what is derived fits the content");
}

#[test]
fn what_an_entry_takes_back_does_not_count() {
    let mut a = Island::new(1);
    let large = vec![b'x'; crate::frame::ENTRY_BYTES_MAX / 4];
    a.run(Scope::Many, |txn| {
        for _ in 0..20 {
            txn.set_string(b"k", &large, Expiry::Clear);
            assert_eq!(txn.refusal(), None);
        }
    });
    assert_eq!(a.string("k").map(|value| value.len()), Some(large.len()));
}
