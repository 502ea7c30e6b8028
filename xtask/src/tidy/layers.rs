//! Arrows only point down: a crate may depend on crates of a lower rank, and the inner ones never on an async runtime.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Complaint;

/// Layers of the tree; a new crate needs a line here, in its own commit, and a paragraph in the map.
const RANKS: &[(&str, u8)] = &[
    ("isles-clock", 0),
    ("isles-lua", 0),
    ("isles-resolver", 0),
    ("isles-wan", 0),
    ("isles-crdt", 1),
    ("isles-resolve", 2),
    ("isles-resolve-wasm", 3),
    ("isles-store", 3),
    ("isles-transport", 3),
    ("isles-replica", 4),
    ("isles-transport-quic", 5),
    ("isles-admin", 6),
    ("isles-resp", 6),
    ("isles-node", 7),
    ("isles-sim", 7),
];
/// Works on the tree from outside: nothing depends on it, and it depends on none of our crates.
const OUTSIDE: &str = "xtask";
/// Crates that must run in one thread under a simulated clock.
const WITHOUT_RUNTIME: &[&str] = &[
    "isles-clock",
    "isles-crdt",
    "isles-resolve",
    "isles-resolve-wasm",
    "isles-store",
    "isles-replica",
];
const RUNTIMES: &[&str] = &["tokio", "quinn"];

/// A package of the workspace and what it depends on.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// Its folder's name under `crates`, or `xtask`.
    pub(super) folder: String,
    /// Packages of the workspace, for any purpose (tests too).
    inside: BTreeSet<String>,
    /// Outside packages that reach it in a normal build, not through another package of the workspace: those
    /// answer for themselves.
    outside: BTreeSet<String>,
}

/// Reads what `cargo metadata` says.
pub(super) fn packages(metadata: &Value) -> Result<Vec<Package>> {
    let graph = Graph::read(metadata)?;
    graph.members.iter().map(|id| graph.package(id)).collect()
}

pub(super) fn check(packages: &[Package]) -> Vec<Complaint> {
    packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Complaint> {
    let place = format!("crates/{}/Cargo.toml", package.folder);
    let mut complaints = Vec::new();
    if package.name == OUTSIDE {
        let ours = package
            .inside
            .iter()
            .map(|name| Complaint::new("xtask/Cargo.toml", format!("must not depend on {name}")));
        return ours.collect();
    }
    let Some(rank) = rank(&package.name) else {
        return vec![Complaint::new(
            place,
            format!(
                "{} has no rank; give it one in xtask/src/tidy/layers.rs",
                package.name
            ),
        )];
    };
    for dependency in &package.inside {
        if crate::tidy::layers::rank(dependency).is_none_or(|below| below >= rank) {
            complaints.push(Complaint::new(
                &place,
                format!(
                    "{} (rank {rank}) must not depend on {dependency}",
                    package.name
                ),
            ));
        }
    }
    if WITHOUT_RUNTIME.contains(&package.name.as_str()) {
        for runtime in RUNTIMES
            .iter()
            .filter(|runtime| package.outside.contains(**runtime))
        {
            complaints.push(Complaint::new(
                &place,
                format!("{} must never see {runtime}", package.name),
            ));
        }
    }
    complaints
}

fn rank(package: &str) -> Option<u8> {
    RANKS
        .iter()
        .find(|(name, _)| *name == package)
        .map(|(_, rank)| *rank)
}

/// The resolved graph, by package id.
struct Graph<'a> {
    members: Vec<&'a str>,
    names: BTreeMap<&'a str, &'a str>,
    manifests: BTreeMap<&'a str, &'a str>,
    edges: BTreeMap<&'a str, Vec<Edge<'a>>>,
}

struct Edge<'a> {
    to: &'a str,
    normal: bool,
}

impl<'a> Graph<'a> {
    fn read(metadata: &'a Value) -> Result<Self> {
        let texts = |value: &'a Value, field: &str| {
            value[field]
                .as_str()
                .context("cargo metadata changed its shape")
        };
        let members = metadata["workspace_members"]
            .as_array()
            .context("cargo metadata lists no members")?;
        let mut graph = Self {
            members: members.iter().filter_map(Value::as_str).collect(),
            names: BTreeMap::new(),
            manifests: BTreeMap::new(),
            edges: BTreeMap::new(),
        };
        for package in metadata["packages"]
            .as_array()
            .context("cargo metadata lists no packages")?
        {
            let id = texts(package, "id")?;
            graph.names.insert(id, texts(package, "name")?);
            graph.manifests.insert(id, texts(package, "manifest_path")?);
        }
        for node in metadata["resolve"]["nodes"]
            .as_array()
            .context("cargo metadata resolved nothing")?
        {
            let edges = node["deps"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Edge::read);
            graph.edges.insert(texts(node, "id")?, edges.collect());
        }
        Ok(graph)
    }

    fn package(&self, id: &str) -> Result<Package> {
        let manifest = std::path::Path::new(self.manifests[id]);
        let folder = manifest
            .parent()
            .and_then(|folder| folder.file_name())
            .context("a manifest lies in a folder")?;
        Ok(Package {
            name: self.names[id].to_owned(),
            folder: folder.to_string_lossy().into_owned(),
            inside: self.inside(id),
            outside: self.outside(id),
        })
    }

    fn inside(&self, id: &str) -> BTreeSet<String> {
        let edges = self.edges.get(id).into_iter().flatten();
        let ours = edges.filter(|edge| self.members.contains(&edge.to) && edge.to != id);
        ours.map(|edge| self.names[edge.to].to_owned()).collect()
    }

    fn outside(&self, id: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(current) = open.pop() {
            for edge in self
                .edges
                .get(current)
                .into_iter()
                .flatten()
                .filter(|edge| edge.normal)
            {
                if !self.members.contains(&edge.to) && seen.insert(edge.to) {
                    open.push(edge.to);
                }
            }
        }
        seen.into_iter()
            .map(|id| self.names[id].to_owned())
            .collect()
    }
}

impl<'a> Edge<'a> {
    fn read(value: &'a Value) -> Option<Self> {
        let kinds = value["dep_kinds"].as_array()?;
        Some(Self {
            to: value["pkg"].as_str()?,
            normal: kinds.iter().any(|kind| kind["kind"].is_null()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A package and `(dependency, kind)`, where no kind is a normal one.
    type Edges<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)]);

    /// A graph of these; packages whose name starts with `isles-` are ours.
    fn packages_of(edges: &[Edges<'_>]) -> Vec<Package> {
        let names: BTreeSet<&str> = edges
            .iter()
            .flat_map(|(from, to)| to.iter().map(|(to, _)| *to).chain([*from]))
            .collect();
        let member = |name: &&&str| name.starts_with("isles-") || **name == OUTSIDE;
        let metadata = json!({
            "workspace_members": names.iter().filter(member).collect::<Vec<_>>(),
            "packages": names.iter().map(|name| json!({
                "id": name, "name": name, "manifest_path": format!("/x/crates/{}/Cargo.toml", name.trim_start_matches("isles-")),
            })).collect::<Vec<_>>(),
            "resolve": { "nodes": edges.iter().map(|(from, to)| json!({
                "id": from,
                "deps": to.iter().map(|(to, kind)| json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>() },
        });
        packages(&metadata).unwrap()
    }

    fn check_edges(edges: &[Edges<'_>], expected: &[&str]) {
        let complaints: Vec<String> = check(&packages_of(edges))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(complaints, expected);
    }

    #[test]
    fn arrows_point_down() {
        check_edges(&[("isles-crdt", &[("isles-clock", None)])], &[]);
        check_edges(
            &[("isles-clock", &[("isles-crdt", None)])],
            &["crates/clock/Cargo.toml: isles-clock (rank 0) must not depend on isles-crdt"],
        );
        check_edges(
            &[("isles-store", &[("isles-transport", None)])],
            &["crates/store/Cargo.toml: isles-store (rank 3) must not depend on isles-transport"],
        );
    }

    #[test]
    fn tests_are_no_excuse() {
        check_edges(
            &[("isles-replica", &[("isles-sim", Some("dev"))])],
            &["crates/replica/Cargo.toml: isles-replica (rank 4) must not depend on isles-sim"],
        );
    }

    #[test]
    fn inner_crates_see_no_runtime_not_even_through_others() {
        check_edges(
            &[
                ("isles-store", &[("engine", None)]),
                ("engine", &[("tokio", None)]),
            ],
            &["crates/store/Cargo.toml: isles-store must never see tokio"],
        );
        check_edges(&[("isles-store", &[("tokio", Some("dev"))])], &[]);
        check_edges(
            &[
                ("isles-replica", &[("isles-transport", None)]),
                ("isles-transport", &[("tokio", None)]),
            ],
            &[],
        );
    }

    #[test]
    fn a_new_crate_needs_a_rank() {
        check_edges(
            &[("isles-novelty", &[])],
            &[
                "crates/novelty/Cargo.toml: isles-novelty has no rank; give it one in xtask/src/tidy/layers.rs",
            ],
        );
    }

    #[test]
    fn xtask_stays_outside() {
        check_edges(
            &[("xtask", &[("isles-clock", None)])],
            &["xtask/Cargo.toml: must not depend on isles-clock"],
        );
    }
}
