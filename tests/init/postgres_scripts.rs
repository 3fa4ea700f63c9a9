//! What PostgreSQL's scripts may do, as they may under the official image, with the real PostgreSQL.

use crate::postgres::{Server, first, programs};

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
