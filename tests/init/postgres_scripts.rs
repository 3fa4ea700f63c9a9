//! What PostgreSQL's scripts may do, as they may under the official image, with the real PostgreSQL.

use crate::first::text;
use crate::postgres::{Server, account, first, programs};
use std::os::unix::fs::MetadataExt;

#[test]
fn a_script_makes_a_user_and_a_database_and_goes_on_as_that_user() {
    if programs().is_none() {
        return;
    }
    let text = "CREATE ROLE app LOGIN PASSWORD 'x'; CREATE DATABASE app OWNER app;\n\\connect app app\n\
                CREATE TABLE owned (n INT);\n";
    let first = first()
        .with("LC_MESSAGES", "C.UTF-8")
        .script("1_app.sql", text)
        .script("2_again.sql", "\\c app app\nINSERT INTO owned VALUES (1);\n");
    first.succeed();
    let server = Server::on(&first.data());
    assert_eq!(
        server.trusted("app", "app", "SELECT tableowner FROM pg_tables WHERE tablename = 'owned'"),
        "app"
    );
}

#[test]
fn what_scripts_made_of_the_path_of_the_data_leads_to_where_the_data_lies() {
    if programs().is_none() {
        return;
    }
    let script = "mkdir \"$PGDATA/ts\" \"$PGDATA/conf.d\"\n\
        docker_process_sql -c \"CREATE TABLESPACE ts LOCATION '$PGDATA/ts'\" -c 'CREATE TABLE t (n INT) TABLESPACE ts' \\\n\
        -c 'INSERT INTO t VALUES (7)'\n\
        echo \"include_dir = 'conf.d'\" >>\"$PGDATA/postgresql.conf\"\n\
        echo \"log_directory = '$PGDATA/words'\" >\"$PGDATA/conf.d/log.conf\"\n";
    let first = first().script("1.sh", script);
    first.succeed();
    let data = first.data();
    assert_eq!(text(data.join("conf.d/log.conf")), format!("log_directory = '{}/words'\n", data.display()));
    let link = std::fs::read_dir(data.join("pg_tblspc")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_link(&link).unwrap(), data.join("ts"));
    if nix::unistd::geteuid().is_root() {
        assert_eq!(link.symlink_metadata().unwrap().uid(), account().0);
    }
    let server = Server::on(&data);
    assert_eq!(server.trusted("postgres", "postgres", "SELECT sum(n) FROM t"), "7");
    drop(server);
    let said = first.succeed();
    assert!(!said.contains("were not user"), "{said}");
}

#[test]
fn a_migration_that_cannot_log_in_was_not_begun() {
    if programs().is_none() {
        return;
    }
    let first = first();
    first.succeed();
    let each = first.folder.join("migrations");
    std::fs::create_dir(&each).unwrap();
    std::fs::write(each.join("1.sql"), "CREATE TABLE migrated (n INT);\n").unwrap();
    let first = first.option(&["--each-start", each.to_str().unwrap()]).with("POSTGRES_DB", "nowhere");
    let made = first.make();
    assert_eq!(made.code, 1);
    assert!(
        made.said.contains("to the database \"nowhere\" (POSTGRES_USER, POSTGRES_DB) failed"),
        "{}",
        made.said
    );
    let first = first.with("POSTGRES_DB", "postgres");
    first.succeed();
    assert_eq!(
        Server::on(&first.data()).trusted("postgres", "postgres", "SELECT count(*) FROM migrated"),
        "0"
    );
}
