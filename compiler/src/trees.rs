//! Directories that exist only for the guest: granted files and embedded ones go in, nodes as the runtime looks them up
//! come out, see [`wasmelt_abi::tree`].

use std::collections::{BTreeMap, VecDeque};

use crate::error::{Error, Result};
use crate::options::{EmbeddedFile, Policy};

/// A directory that the guest finds as a granted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreePlan {
    /// Name under which the guest finds it.
    pub guest: String,
    /// Its nodes; the first is the directory itself, children are consecutive and sorted by name.
    pub nodes: Vec<NodePlan>,
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlan {
    /// Name in its directory.
    pub name: String,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A directory: index of the first child, and number of children.
    Directory(u32, u32),
    /// A file that is part of the executable: index in [`crate::options::Options::embedded_files`].
    Embedded(usize),
    /// A file of the host: its path, and whether it is read-only.
    Host(String, bool),
}

/// A directory while it is being filled.
#[derive(Default)]
struct Folder {
    entries: BTreeMap<String, Item>,
}

enum Item {
    Folder(Folder),
    File(Content),
}

/// The trees of a policy: those of embedded directories, then those of granted files, one for each of the guest's
/// directories that has any.
pub fn plan(policy: &Policy, embedded: &[EmbeddedFile]) -> Result<Vec<TreePlan>> {
    let mut trees: Vec<(String, Folder)> =
        policy.embedded.iter().map(|tree| (tree.guest.clone(), Folder::default())).collect();
    for (index, file) in embedded.iter().enumerate() {
        let (_, root) =
            trees.get_mut(file.tree).ok_or_else(|| Error::internal("an embedded file belongs to no tree"))?;
        match file.path.strip_suffix('/') {
            Some(folder) => _ = root.folder(folder.split('/'))?,
            None => root.add(&file.path, Content::Embedded(index))?,
        }
    }
    for file in &policy.files {
        let (folder, name) = split(&file.guest)?;
        let at = trees.iter().position(|(guest, _)| *guest == folder).unwrap_or_else(|| {
            trees.push((folder.to_owned(), Folder::default()));
            trees.len() - 1
        });
        trees[at].1.add(name, Content::Host(file.host.clone(), file.read_only))?;
    }
    let mut taken: Vec<&str> = policy.dirs.iter().map(|dir| dir.guest.as_str()).collect();
    for (guest, _) in &trees {
        if taken.contains(&guest.as_str()) {
            return Err(Error::usage(format!("the guest's directory `{guest}` is granted twice"))
                .hint("a directory is one of the host (`--dir`), or made of single files (`--file`, `--embed`)"));
        }
        taken.push(guest);
    }
    Ok(trees.into_iter().map(|(guest, root)| TreePlan { guest, nodes: root.into_nodes() }).collect())
}

/// The directory of a granted file, and its name there.
fn split(guest: &str) -> Result<(&str, &str)> {
    let (folder, name) = match guest.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => (".", guest),
    };
    if matches!(name, "" | "." | "..") {
        return Err(Error::usage(format!("`{guest}` is no name for a file: expected `HOST[::GUEST][:ro]`")));
    }
    Ok((folder, name))
}

impl Folder {
    /// The folder with this path, made where it is not there.
    fn folder<'a>(&mut self, path: impl Iterator<Item = &'a str>) -> Result<&mut Self> {
        let mut here = self;
        for name in path {
            let item = here.entries.entry(name.to_owned()).or_insert_with(|| Item::Folder(Self::default()));
            match item {
                Item::Folder(folder) => here = folder,
                Item::File(_) => return Err(Error::usage(format!("`{name}` is a file and a folder at once"))),
            }
        }
        Ok(here)
    }

    fn add(&mut self, path: &str, content: Content) -> Result<()> {
        let mut names: Vec<&str> = path.split('/').collect();
        let name = names.pop().unwrap_or_default();
        let folder = self.folder(names.into_iter())?;
        match folder.entries.insert(name.to_owned(), Item::File(content)) {
            None => Ok(()),
            Some(_) => Err(Error::usage(format!("the file `{path}` is granted twice in one directory"))),
        }
    }

    /// Level by level, so that the children of each directory are consecutive.
    fn into_nodes(self) -> Vec<NodePlan> {
        let mut nodes = vec![NodePlan { name: String::new(), content: Content::Directory(0, 0) }];
        let mut open = VecDeque::from([(0, self)]);
        while let Some((index, folder)) = open.pop_front() {
            // A module with 2^32 files would have been refused for their size.
            let first = nodes.len() as u32;
            nodes[index].content = Content::Directory(first, folder.entries.len() as u32);
            for (name, item) in folder.entries {
                match item {
                    Item::Folder(folder) => {
                        open.push_back((nodes.len(), folder));
                        nodes.push(NodePlan { name, content: Content::Directory(0, 0) });
                    }
                    Item::File(content) => nodes.push(NodePlan { name, content }),
                }
            }
        }
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{DirGrant, EmbeddedTree, FileGrant};

    fn file(guest: &str) -> FileGrant {
        FileGrant { host: format!("host{guest}"), guest: guest.to_owned(), read_only: false }
    }

    fn shown(trees: &[TreePlan]) -> Vec<String> {
        let node = |node: &NodePlan| match &node.content {
            Content::Directory(first, count) => format!("{}/{first}+{count}", node.name),
            Content::Embedded(index) => format!("{}={index}", node.name),
            Content::Host(host, _) => format!("{}@{host}", node.name),
        };
        trees
            .iter()
            .map(|t| format!("{}: {}", t.guest, t.nodes.iter().map(node).collect::<Vec<_>>().join(" ")))
            .collect()
    }

    #[test]
    fn files_share_the_tree_of_their_directory() {
        let policy = Policy { files: vec![file("/etc/b"), file("c"), file("/etc/a"), file("/d")], ..Policy::default() };
        let trees = plan(&policy, &[]).unwrap();
        assert_eq!(shown(&trees), ["/etc: /1+2 a@host/etc/a b@host/etc/b", ".: /1+1 c@hostc", "/: /1+1 d@host/d"]);
    }

    #[test]
    fn embedded_files_are_laid_out_level_by_level() {
        let tree = EmbeddedTree { guest: "/a".into(), files: 4, bytes: 0, blake3: String::new() };
        let policy = Policy { embedded: vec![tree], ..Policy::default() };
        let paths = ["z", "sub/y", "sub/deep/x", "empty/", "b"];
        let files: Vec<_> =
            paths.iter().map(|path| EmbeddedFile { tree: 0, path: (*path).into(), bytes: Vec::new() }).collect();
        let trees = plan(&policy, &files).unwrap();
        assert_eq!(shown(&trees), ["/a: /1+4 b=4 empty/5+0 sub/5+2 z=0 deep/7+1 y=1 x=2"]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for files in [vec![file("/a"), file("/a")], vec![file("/a/..")], vec![file("/a/")]] {
            assert!(plan(&Policy { files, ..Policy::default() }, &[]).is_err());
        }
        let dirs = vec![DirGrant { host: "x".into(), guest: "/etc".into(), read_only: false }];
        let error = plan(&Policy { dirs, files: vec![file("/etc/a")], ..Policy::default() }, &[]).unwrap_err();
        assert!(error.to_string().contains("`/etc` is granted twice"));
    }
}
