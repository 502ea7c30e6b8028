//! JSON documents, field by field.

mod differences;

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::resolver::Part;
use crate::strategy::{Magnitude, one};
use crate::sums::{self, Joined};
use crate::{Failure, Resolution, Resolver, Sibling};

/// Objects nested deeper than this are compared as texts, as everything else that is no object is.
const DEPTH_MAX: usize = 32;
/// What may stand around a document.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// JSON objects become one that has the fields of all, at every level.
///
/// Where several have a field and not all of them an object there, the greatest value is taken: `null`, booleans, numbers,
/// strings, arrays, objects, in this order; numbers by their exact value, all else by its bytes. Of numbers it can be [the
/// smallest](Json::with_smallest_numbers), or [what was added to them](Json::with_summed_numbers) counts, and [a field of
/// one's own choice](Json::per_field) can have any resolver. Of siblings that are not JSON the greatest wins, and it wins
/// over all JSON.
///
/// Why not the latest value of a field: siblings are whole documents with one time each, so when two of them have been
/// united and written back under a later time, the older one's fields would win over a third's. It would matter who
/// writes an answer back, and when ([`laws`](crate::laws), grouping). To have each field decided by its own time, use a
/// hash instead of a document.
///
/// The answer has its fields in the order of their names where objects were united; a single sibling is answered as it
/// is. Costs one pass over the documents for each level of nesting.
///
/// ```
/// # use isles_clock::{Dot, Hlc, ReplicaId};
/// use isles_resolve::{Json, Resolver, Sibling, Strategy, laws};
///
/// # let sibling = |replica, value| {
/// #     Sibling::new(Dot::new(ReplicaId::from_u128(replica), 1), Hlc::new(1, 0), value)
/// # };
/// let siblings = [
///     sibling(1, br#"{"name":"lamp","price":30,"tags":["new"]}"#),
///     sibling(2, br#"{"price":25,"stock":{"eu":3},"tags":["sale"]}"#),
/// ];
/// let json = Json::new()
///     .per_field("price", Strategy::Min)
///     .per_field("tags", Strategy::Union);
/// assert_eq!(
///     json.resolve(&siblings).value(),
///     Some(&br#"{"name":"lamp","price":25,"stock":{"eu":3},"tags":["new","sale"]}"#[..])
/// );
/// assert_eq!(laws::check(&json, &siblings), Ok(()));
/// ```
#[derive(Default)]
pub struct Json {
    numbers: Numbers,
    fields: Vec<(Vec<String>, Part)>,
}

/// What several numbers of a field become.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Numbers {
    #[default]
    Greatest,
    Smallest,
    Summed,
}

impl Json {
    /// Takes the greatest of everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the smallest number where all values of a field are numbers.
    #[must_use]
    pub fn with_smallest_numbers(mut self) -> Self {
        self.numbers = Numbers::Smallest;
        self
    }

    /// Adds up the differences that writers have made to a number, of those siblings that know of some ([`Sums`]); the
    /// others tell only what it began with, of which the greatest counts.
    ///
    /// Numbers are exact up to 128 bits before the point and 36 digits after it; a longer one is never added to, only
    /// compared. Numbers within arrays are none of this: arrays are compared as texts.
    ///
    /// [`Sums`]: crate::Sums
    #[must_use]
    pub fn with_summed_numbers(mut self) -> Self {
        self.numbers = Numbers::Summed;
        self
    }

    /// Has a field resolved by `resolver`, which is given the JSON texts of its values, or of those of the greatest type
    /// where types differ; the names of nested fields are joined by points (`"price.net"`). Where it answers all of them,
    /// or no JSON, the rule for other fields holds. Where it fails, the whole does.
    ///
    /// The laws hold for the whole if they hold for `resolver` with values that pass for each other by content alone;
    /// strategies by time (`lww`, `fww`) do not qualify, see [`Json`].
    #[must_use]
    pub fn per_field(
        mut self,
        path: &str,
        resolver: impl Resolver + Send + Sync + 'static,
    ) -> Self {
        let path = path.split('.').map(str::to_owned).collect();
        self.fields.push((path, Box::new(resolver)));
        self
    }

    fn rule_for(&self, path: &[Cow<'_, str>]) -> Option<&(dyn Resolver + Send + Sync)> {
        let found = self.fields.iter().find(|(of, _)| of == path);
        found.map(|(_, resolver)| &**resolver)
    }

    /// Writes what the values of one field become; leaves those of them that were compared.
    fn unite<'t>(
        &self,
        values: &mut Vec<Value<'_, 't>>,
        path: &mut Vec<Cow<'t, str>>,
        out: &mut String,
    ) -> Result<(), Failure> {
        let adds = self.numbers == Numbers::Summed && sums::any(values.iter().map(|it| it.of));
        if let [first, others @ ..] = &values[..]
            && !adds
            && others.iter().all(|other| other.text == first.text)
        {
            out.push_str(first.text);
            return Ok(());
        }
        let kind = values.iter().map(Value::kind).max();
        values.retain(|value| Some(value.kind()) == kind);
        values.sort_unstable_by_key(|value| (value.text, value.of.dot));
        let holds_numbers = matches!(kind, Some(Kind::Number | Kind::Object));
        if !(adds && holds_numbers && self.rule_for(path).is_none()) {
            values.dedup_by_key(|value| value.text);
        }
        if let [only] = values[..] {
            out.push_str(only.text);
            return Ok(());
        }
        if let Some(rule) = self.rule_for(path)
            && let Some(answer) = ask(rule, values)?
        {
            out.push_str(&answer);
            return Ok(());
        }
        match kind {
            Some(Kind::Object) if path.len() < DEPTH_MAX => {
                let fields = values.iter().map(|value| (*value, fields_of(value.text)));
                self.unite_objects(fields, path, out)?
            }
            Some(Kind::Number) => match adds.then(|| sum_of(values, path)).flatten() {
                Some(sum) => out.push_str(&sum),
                None => out.push_str(self.number_of(values)),
            },
            _ => out.extend(values.last().map(|value| value.text)),
        }
        Ok(())
    }

    /// Writes what objects become, of which each comes with what it holds.
    fn unite_objects<'s, 't: 's>(
        &self,
        objects: impl Iterator<Item = (Value<'s, 't>, Vec<Held<'t>>)>,
        path: &mut Vec<Cow<'t, str>>,
        out: &mut String,
    ) -> Result<(), Failure> {
        let mut fields = Vec::new();
        for (object, own) in objects {
            let own = last_of_each_name(own).into_iter();
            fields.extend(own.map(|(name, text)| (name, Value { text, ..object })));
        }
        // Each object's own are in order already.
        fields.sort_by(|(name, _), (other, _)| name.cmp(other));
        let (mut before, mut values) = ('{', Vec::new());
        for of_name in fields.chunk_by(|(name, _), (other, _)| name == other) {
            let name = &of_name[0].0;
            values.clear();
            values.extend(of_name.iter().map(|(_, value)| *value));
            out.push(before);
            before = ',';
            push_text(name, out);
            out.push(':');
            path.push(name.clone());
            let united = self.unite(&mut values, path, out);
            path.pop();
            united?;
        }
        if before == '{' {
            out.push(before);
        }
        out.push('}');
        Ok(())
    }

    /// The same as for other siblings, where all are objects and no two the same text: each is read once.
    fn resolve_objects<'a>(&self, siblings: &[Sibling<'a>]) -> Option<Resolution<'a>> {
        let mut objects = Vec::with_capacity(siblings.len());
        for sibling in siblings {
            let text = std::str::from_utf8(sibling.value).ok()?;
            let text = text.trim_matches(SPACE);
            let Fields(fields) = serde_json::from_str(text).ok()?;
            objects.push((Value { of: sibling, text }, fields));
        }
        objects.sort_unstable_by_key(|(value, _)| (value.text, value.of.dot));
        let texts = objects.windows(2);
        if texts
            .into_iter()
            .any(|pair| pair[0].0.text == pair[1].0.text)
        {
            return None;
        }
        let mut answer = room_for(siblings);
        let united = self.unite_objects(objects.into_iter(), &mut Vec::new(), &mut answer);
        Some(answered(united, answer))
    }

    fn number_of<'t>(&self, values: &[Value<'_, 't>]) -> &'t str {
        let texts = values.iter().map(|value| value.text);
        let size = |text: &&'t str| (Magnitude::of(text.as_bytes()), *text);
        let number = match self.numbers {
            Numbers::Smallest => texts.min_by_key(size),
            Numbers::Greatest | Numbers::Summed => texts.max_by_key(size),
        };
        number.expect("invariant: a field has a value")
    }
}

impl Resolver for Json {
    fn resolve<'a>(&self, siblings: &[Sibling<'a>]) -> Resolution<'a> {
        if let Some(answer) = one(siblings) {
            return answer;
        }
        if let Some(answer) = self.resolve_objects(siblings) {
            return answer;
        }
        let parsed: Vec<Option<Value<'_, 'a>>> = siblings.iter().map(Value::of).collect();
        let other = (0..siblings.len())
            .filter(|index| parsed[*index].is_none())
            .max_by_key(|index| (siblings[*index].value, siblings[*index].dot));
        if let Some(index) = other {
            return Resolution::winner_at(siblings, index);
        }
        let mut values: Vec<Value<'_, 'a>> = parsed.into_iter().flatten().collect();
        let mut answer = room_for(siblings);
        let united = self.unite(&mut values, &mut Vec::new(), &mut answer);
        answered(united, answer)
    }

    fn reads_sums(&self) -> bool {
        let parts = &mut self.fields.iter().map(|(_, resolver)| resolver);
        self.numbers == Numbers::Summed || parts.any(|resolver| resolver.reads_sums())
    }
}

/// What the differences that are known make of a number; none where there are none.
fn sum_of(values: &[Value<'_, '_>], path: &[Cow<'_, str>]) -> Option<String> {
    let numbers = values.iter().map(|value| (value.of.sums, value.text));
    let joined = Joined::of(&differences::pointer(path), numbers)?;
    (!joined.is_plain()).then(|| joined.value().to_string())
}

fn answered<'a>(united: Result<(), Failure>, answer: String) -> Resolution<'a> {
    match united {
        Ok(()) => Resolution::made(Cow::Owned(answer.into_bytes())),
        Err(failure) => Resolution::Failed(failure),
    }
}

/// The answer is about as long as all siblings at most.
fn room_for(siblings: &[Sibling<'_>]) -> String {
    let bytes = siblings.iter().map(|sibling| sibling.value.len());
    String::with_capacity(bytes.sum())
}

/// What `rule` answers for the values of a field, if that is one and JSON.
fn ask(rule: &dyn Resolver, values: &[Value<'_, '_>]) -> Result<Option<String>, Failure> {
    let siblings: Vec<Sibling<'_>> = values
        .iter()
        .map(|value| Sibling {
            value: value.text.as_bytes(),
            ..*value.of
        })
        .collect();
    let answer = rule.resolve(&siblings);
    if let Some(failure) = answer.failure() {
        return Err(failure);
    }
    let json = answer
        .value()
        .and_then(|text| serde_json::from_slice::<&RawValue>(text).ok());
    Ok(json.map(|json| json.get().to_owned()))
}

/// A value within a document.
#[derive(Clone, Copy)]
struct Value<'s, 't> {
    /// The document.
    of: &'s Sibling<'t>,
    /// As it is written there, without space around it.
    text: &'t str,
}

/// Borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

impl<'s, 't> Value<'s, 't> {
    fn of(sibling: &'s Sibling<'t>) -> Option<Self> {
        let text = Self::text_of(sibling.value)?;
        Some(Self { of: sibling, text })
    }

    /// A document without space around it; none if it is no JSON.
    fn text_of(document: &'t [u8]) -> Option<&'t str> {
        let raw: &RawValue = serde_json::from_slice(document).ok()?;
        Some(raw.get())
    }

    fn kind(&self) -> Kind {
        Kind::of(self.text)
    }
}

/// The name of a field and its value, both as they are written.
type Held<'t> = (Cow<'t, str>, &'t str);

/// The fields of a text, none unless it is an object.
fn fields_of(text: &str) -> Vec<Held<'_>> {
    let Fields(fields) = serde_json::from_str(text).unwrap_or_default();
    fields
}

/// The fields in order of their names; of fields with one name the last counts, as for most readers.
fn last_of_each_name(mut fields: Vec<Held<'_>>) -> Vec<Held<'_>> {
    if fields.is_sorted_by(|(name, _), (next, _)| name < next) {
        return fields;
    }
    fields.reverse();
    fields.sort_by(|(name, _), (other, _)| name.cmp(other));
    fields.dedup_by(|(name, _), (last, _)| name == last);
    fields
}

/// The fields of an object as they stand there.
#[derive(Default)]
struct Fields<'t>(Vec<Held<'t>>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some((Name(name), text)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            fields.push((name, text.get()));
        }
        Ok(Fields(fields))
    }
}

/// Writes a text as JSON.
fn push_text(text: &str, out: &mut String) {
    let is_plain = |byte: u8| byte >= b' ' && !matches!(byte, b'"' | b'\\');
    if text.bytes().all(is_plain) {
        out.extend(["\"", text, "\""]);
        return;
    }
    out.push_str(&serde_json::to_string(text).expect("invariant: every text can be JSON"));
}

/// The types of values, the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    fn of(text: &str) -> Self {
        match text.as_bytes()[0] {
            b'n' => Self::Null,
            b't' | b'f' => Self::Bool,
            b'"' => Self::String,
            b'[' => Self::Array,
            b'{' => Self::Object,
            _ => Self::Number,
        }
    }
}
