//! The mechanism on a toy: a "campaign" that is a shell script in the copied tree.

use super::*;

const NOTICED: Edit = Edit {
    name: "wrong-sum",
    file: "core/engine",
    changes: &[("sum=3", "sum=4")],
    why: "the sum is wrong",
};
const MISSED: Edit =
    Edit { name: "comment", changes: &[("# engine", "# engin")], why: "nothing", ..NOTICED };

/// Fails with a replay line if the engine is wrong; the engine may also hang or crash.
const CHECK: &str = ". core/engine; [ $sum = 3 ] || { echo 'replay: --seed 7'; exit 1; }";

fn toy() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("core")).unwrap();
    fs::write(root.path().join("core/engine"), "# engine\nsum=3\n").unwrap();
    fs::write(root.path().join("check"), CHECK).unwrap();
    root
}

fn sabotage(root: &Path, edits: &[&Edit]) -> Result<()> {
    let shell = |script: &str, tree: &Path| Process::new("sh").args(["-c", script]).within(tree);
    let campaign = Campaign {
        build: &|tree| shell("sh -n core/engine", tree),
        run: &|tree| shell("sh ./check", tree).limit(Duration::from_secs(2)),
    };
    let parts = ["core".into(), "check".into()];
    run(root, &root.join("sabotage"), &parts, edits, &campaign)
}

#[test]
fn an_edit_that_the_campaign_notices_is_what_is_wanted() {
    let root = toy();
    sabotage(root.path(), &[&NOTICED, &NOTICED]).unwrap();
    assert!(!root.path().join("sabotage/wrong-sum").exists());
}

#[test]
fn an_edit_that_the_campaign_misses_is_an_error_and_its_tree_is_kept() {
    let root = toy();
    let error = sabotage(root.path(), &[&NOTICED, &MISSED]).unwrap_err().to_string();
    assert!(error.contains("did not notice comment"), "{error}");
    let kept = fs::read_to_string(root.path().join("sabotage/comment/core/engine")).unwrap();
    assert!(kept.starts_with("# engin\n"));
    assert!(root.path().join("sabotage/comment/campaign.log").is_file());
}

#[test]
fn a_failure_without_a_replay_line_and_a_hang_prove_nothing() {
    for replace in ["sum=$(exit 9) || exit 9", "exec sleep 60"] {
        let root = toy();
        let changes = vec![("sum=3", replace)].leak();
        let edit = Edit { changes, ..NOTICED };
        assert!(sabotage(root.path(), &[&edit]).is_err(), "{replace}");
    }
}

#[test]
fn a_campaign_that_fails_on_the_untouched_engine_is_an_error() {
    let root = toy();
    fs::write(root.path().join("core/engine"), "# engine\nsum=5 # sum=3\n").unwrap();
    let error = sabotage(root.path(), &[&NOTICED]).unwrap_err().to_string();
    assert!(error.contains("untouched engine"), "{error}");
}

#[test]
fn an_edit_that_does_not_build_is_an_error() {
    let root = toy();
    let edit = Edit { changes: &[("sum=3", "sum=(")], ..NOTICED };
    let error = sabotage(root.path(), &[&edit]).unwrap_err().to_string();
    assert!(error.contains("does not build"), "{error}");
}

#[test]
fn edits_are_chosen_by_name() {
    let edits = [NOTICED, MISSED];
    assert_eq!(choose(&edits, &[]).unwrap().len(), 2);
    assert_eq!(choose(&edits, &["comment".into()]).unwrap()[0].name, "comment");
    assert!(choose(&edits, &["other".into()]).is_err());
}

#[test]
fn names_of_edits_are_unique_and_can_be_folders() {
    for (index, edit) in EDITS.iter().enumerate() {
        assert!(EDITS[index + 1..].iter().all(|other| other.name != edit.name), "{}", edit.name);
        assert!(!["tree", "target"].contains(&edit.name), "{} is taken", edit.name);
        assert!(edit.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", edit.name);
    }
}

#[test]
fn no_edit_is_out_of_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for edit in EDITS {
        tree::edited(root, edit).unwrap();
    }
}
