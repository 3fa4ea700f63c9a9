//! The rules of MariaDB's variables, by the numbers of what the official image does (and, from 20 on, of
//! what the server would refuse later): each with its message, and nothing touched.

use crate::asking::{remarks, request, texts};
use minisup::init::engine::Level;

const ROOT: (&str, &str) = ("MARIADB_ROOT_PASSWORD", "x");

fn errors(variables: &[(&str, &str)]) -> Vec<String> {
    texts("mariadb", variables, Level::Error)
}

fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
    texts("mariadb", variables, Level::Warning)
}

#[test]
fn rule_1_one_of_four_options_says_what_roots_password_is() {
    assert_eq!(
        errors(&[]),
        ["database is uninitialized and password option is not specified: you need to specify one of \
          MARIADB_ROOT_PASSWORD, MARIADB_ROOT_PASSWORD_HASH, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD, \
          MARIADB_RANDOM_ROOT_PASSWORD"]
    );
    for name in ["ROOT_PASSWORD", "ROOT_PASSWORD_HASH", "ALLOW_EMPTY_ROOT_PASSWORD", "RANDOM_ROOT_PASSWORD"] {
        assert_eq!(errors(&[(&format!("MARIADB_{name}"), "no")]), [""; 0], "{name}: any text is a yes");
    }
}

#[test]
fn rule_2_empty_counts_as_not_set() {
    assert_eq!(errors(&[("MARIADB_ROOT_PASSWORD", ""), ("MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", "")]).len(), 1);
}

#[test]
fn rule_3_the_older_names_mean_the_same() {
    for name in ["MYSQL_ROOT_PASSWORD", "MYSQL_ALLOW_EMPTY_PASSWORD", "MYSQL_RANDOM_ROOT_PASSWORD"] {
        assert_eq!(errors(&[(name, "1")]), [""; 0], "{name}");
    }
    assert_eq!(warnings(&[ROOT, ("MYSQL_USER", "u"), ("MYSQL_PASSWORD", "p")]), [""; 0]);
}

#[test]
fn rule_4_a_hash_goes_with_no_other_option_for_root() {
    for other in ["ROOT_PASSWORD", "ALLOW_EMPTY_ROOT_PASSWORD", "RANDOM_ROOT_PASSWORD"] {
        assert_eq!(
            errors(&[("MARIADB_ROOT_PASSWORD_HASH", "*A"), (&format!("MARIADB_{other}"), "1")]),
            ["cannot specify MARIADB_ROOT_PASSWORD_HASH and another MARIADB_ROOT_PASSWORD* option"]
        );
    }
}

#[test]
fn rule_5_a_password_and_its_hash_exclude_each_other() {
    assert_eq!(
        errors(&[ROOT, ("MARIADB_USER", "u"), ("MARIADB_PASSWORD", "p"), ("MARIADB_PASSWORD_HASH", "*A")]),
        ["cannot specify both MARIADB_PASSWORD and MARIADB_PASSWORD_HASH"]
    );
}

#[test]
fn rule_6_the_user_is_not_root_which_the_image_does_not_catch() {
    let found = errors(&[ROOT, ("MARIADB_USER", "root"), ("MARIADB_PASSWORD", "p")]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with(
            "MARIADB_USER=\"root\": MARIADB_USER and MARIADB_PASSWORD are for a regular user and cannot be \
             used for root"
        ),
        "{found:?}"
    );
}

#[test]
fn rule_7_half_a_user_is_said_and_not_created() {
    assert_eq!(
        warnings(&[ROOT, ("MARIADB_USER", "u")]),
        ["MARIADB_USER without MARIADB_PASSWORD or MARIADB_PASSWORD_HASH: the user will not be created"]
    );
    assert_eq!(
        warnings(&[ROOT, ("MARIADB_PASSWORD", "p")]),
        ["MARIADB_PASSWORD without MARIADB_USER: the password will be ignored"]
    );
}

#[test]
fn rule_8_a_value_comes_from_one_place() {
    assert_eq!(
        errors(&[ROOT, ("MARIADB_ROOT_PASSWORD_FILE", "/nowhere")])[0],
        "both MARIADB_ROOT_PASSWORD and MARIADB_ROOT_PASSWORD_FILE are set (but are exclusive)"
    );
}

#[test]
fn rule_9_a_replication_user_has_a_password() {
    assert_eq!(
        errors(&[ROOT, ("MARIADB_REPLICATION_USER", "r")]),
        ["MARIADB_REPLICATION_USER needs MARIADB_REPLICATION_PASSWORD or MARIADB_REPLICATION_PASSWORD_HASH"]
    );
}

#[test]
fn rule_10_a_replica_knows_a_user_and_a_plain_password() {
    assert_eq!(
        errors(&[ROOT, ("MARIADB_MASTER_HOST", "db")]),
        ["MARIADB_MASTER_HOST needs MARIADB_REPLICATION_USER and MARIADB_REPLICATION_PASSWORD: the replica \
          logs in with them"]
    );
    let hash = ("MARIADB_REPLICATION_PASSWORD_HASH", "*A");
    assert_eq!(
        errors(&[ROOT, ("MARIADB_MASTER_HOST", "db"), ("MARIADB_REPLICATION_USER", "r"), hash]),
        ["a replica needs MARIADB_REPLICATION_PASSWORD: it cannot log in with a hash"]
    );
}

#[test]
fn rule_11_more_than_usage_for_mysql_at_localhost_is_warned_of() {
    let found = warnings(&[ROOT, ("MARIADB_MYSQL_LOCALHOST_GRANTS", "ALL PRIVILEGES")]);
    assert!(found[0].starts_with("MARIADB_MYSQL_LOCALHOST_GRANTS gives mysql@localhost more than USAGE"));
    assert_eq!(warnings(&[ROOT, ("MARIADB_MYSQL_LOCALHOST_GRANTS", "usage")]), [""; 0]);
}

#[test]
fn rule_12_an_upgrade_may_be_asked_for_before_there_is_anything_to_upgrade() {
    for value in ["1", "0"] {
        let asked = [ROOT, ("MARIADB_AUTO_UPGRADE", value), ("MARIADB_DISABLE_UPGRADE_BACKUP", "1")];
        assert_eq!((errors(&asked), warnings(&asked)), (vec![], vec![]));
    }
}

#[test]
fn rule_13_a_random_password_wins_and_that_is_said() {
    assert_eq!(
        warnings(&[ROOT, ("MARIADB_RANDOM_ROOT_PASSWORD", "1")]),
        ["MARIADB_ROOT_PASSWORD has no effect: MARIADB_RANDOM_ROOT_PASSWORD asks for a random one"]
    );
}

#[test]
fn rule_20_a_name_is_no_longer_than_the_server_allows() {
    let (long, too_long) = ("ü".repeat(64), "ü".repeat(65));
    assert_eq!(errors(&[ROOT, ("MARIADB_DATABASE", &long)]), [""; 0]);
    assert_eq!(
        errors(&[ROOT, ("MARIADB_DATABASE", &too_long)]),
        ["MARIADB_DATABASE is 65 characters long: MariaDB allows 64"]
    );
    let user = "u".repeat(129);
    assert_eq!(
        errors(&[ROOT, ("MARIADB_USER", &user), ("MARIADB_PASSWORD", "p")]),
        ["MARIADB_USER is 129 characters long: MariaDB allows 128"]
    );
}

#[test]
fn rule_21_a_name_has_no_character_that_the_server_cannot_keep() {
    let found = errors(&[ROOT, ("MARIADB_USER", "😀"), ("MARIADB_PASSWORD", "😀")]);
    assert_eq!(
        found,
        ["MARIADB_USER has the character '😀': MariaDB keeps names in utf8mb3, which does not have it \
          (passwords may)"]
    );
    assert_eq!(
        errors(&[ROOT, ("MARIADB_DATABASE", "shop ")]),
        ["MARIADB_DATABASE ends in a space: MariaDB has no such names"]
    );
}

#[test]
fn rule_22_privileges_are_words_and_no_sql() {
    let found = errors(&[ROOT, ("MARIADB_HEALTHCHECK_GRANTS", "USAGE ON *.* TO x; DROP")]);
    assert!(found[0].ends_with("it has to be a list of privileges, such as \"REPLICA MONITOR, PROCESS\""));
    assert_eq!(errors(&[ROOT, ("MARIADB_HEALTHCHECK_GRANTS", "REPLICA MONITOR, PROCESS")]), [""; 0]);
}

#[test]
fn rule_23_the_primarys_port_is_a_port() {
    let replica = [
        ROOT,
        ("MARIADB_MASTER_HOST", "db"),
        ("MARIADB_REPLICATION_USER", "r"),
        ("MARIADB_REPLICATION_PASSWORD", "p"),
        ("MARIADB_MASTER_PORT", "3306; DROP"),
    ];
    assert_eq!(errors(&replica), ["MARIADB_MASTER_PORT is no port: it has to be a number from 1 to 65535"]);
}

#[test]
fn rule_24_with_a_backup_no_variable_is_needed_and_those_that_have_no_effect_are_named() {
    let folder =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("backup-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("full.tar.zst"), "").unwrap();
    let said = |variables: &[(&str, &str)]| -> Vec<(Level, String)> {
        let mut request = request("mariadb", variables);
        request.directory = folder.clone();
        let engine = minisup::init::engine::engine(&request).unwrap_or_else(|trouble| panic!("{trouble}"));
        engine.check().into_iter().map(|remark| (remark.level, remark.text)).collect()
    };
    assert_eq!(said(&[("MARIADB_AUTO_UPGRADE", "1")]), []);
    let found = said(&[ROOT, ("MYSQL_USER", "root")]);
    std::fs::remove_dir_all(&folder).unwrap();
    let text = "a backup is restored, with the accounts and databases that are in it: no effect has \
                MARIADB_ROOT_PASSWORD, MARIADB_USER";
    assert_eq!(found, [(Level::Warning, text.to_owned())]);
}

#[test]
fn no_remark_shows_a_secret() {
    let secret = "s3cr3t-value";
    let variables = [
        ("MARIADB_ROOT_PASSWORD", secret),
        ("MARIADB_ROOT_PASSWORD_HASH", secret),
        ("MARIADB_RANDOM_ROOT_PASSWORD", "1"),
        ("MARIADB_PASSWORD", secret),
        ("MARIADB_REPLICATION_PASSWORD", secret),
    ];
    let found = remarks("mariadb", &variables);
    assert!(found.len() >= 3, "{found:?}");
    assert!(found.iter().all(|remark| !remark.text.contains(secret)), "{found:?}");
}
