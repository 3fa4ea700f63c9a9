//! docker/two-apps: nginx, two Flask apps on uWSGI and MongoDB.
//!
//! MongoDB is the stand-in of tests/stacks/mongodb-stand-in, which MONGO_IMAGE names: no server can be installed
//! from Debian.

use crate::browser;
use crate::container::{Alone, Container, WAYS};
use crate::stack::Stack;
use serde_json::Value;

/// Every static file, and what it is; the first ones by nginx alone, the others out of the apps' volumes.
const FILES: &[(&str, &str)] = &[
    ("/", "text/html"),
    ("/home.css", "text/css"),
    ("/app1/static/style.css", "text/css"),
    ("/app1/static/clock.js", "application/javascript"),
    ("/app1/static/one.svg", "image/svg+xml"),
    ("/app2/static/style.css", "text/css"),
    ("/app2/static/when.js", "application/javascript"),
    ("/app2/static/two.svg", "image/svg+xml"),
];

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn two_apps_count_on_in_one_container() {
    let stack = Stack::built("two-apps/compose.single.yaml");
    stack.up();
    let all = || stack.container("all");
    assert_apps_know_where_they_live(&all());
    all().assert_files(FILES);
    assert_it_looks_right(&all());
    let mut count = visit(&all());

    let mut goes_on = |what: &str| {
        let now = visit(&all());
        assert_eq!(now, count + 1, "after {what}");
        count = now;
    };
    stack.restart();
    goes_on("a restart");
    all().crash();
    goes_on("a crash");
    all().kill();
    stack.up();
    goes_on("docker kill");
    eprintln!("two-apps in one: docker stop took {:?}", all().stop());
    stack.down();
    stack.up();
    goes_on("down and up");
    stack.down_with_volumes();
    stack.up();
    assert_eq!(visit(&all()), 1, "new volumes are empty");
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn two_apps_count_on_with_a_container_per_tier() {
    let stack = Stack::built("two-apps/compose.yaml");
    stack.up();
    let nginx = || stack.container("nginx");
    assert_apps_know_where_they_live(&nginx());
    nginx().assert_files(FILES);
    let mut count = visit(&nginx());

    let mut goes_on = |what: &str| {
        let now = visit(&nginx());
        assert_eq!(now, count + 1, "after {what}");
        count = now;
    };
    stack.restart();
    goes_on("a restart");
    for tier in ["db", "app2", "app1", "nginx"] {
        stack.container(tier).crash();
        nginx().wait_for("/app1/");
        goes_on(&format!("a crash of {tier}"));
        stack.container(tier).kill();
        stack.up();
        nginx().wait_for("/app1/");
        goes_on(&format!("docker kill {tier}"));
    }
    for tier in ["nginx", "app2", "app1", "db"] {
        eprintln!("two-apps, {tier}: docker stop took {:?}", stack.container(tier).stop());
    }
    stack.down();
    stack.up();
    goes_on("down and up");
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn app2_waits_for_its_database_and_outlives_it_while_app1_does_not_care() {
    let stack = Stack::built("two-apps/compose.yaml");
    for service in ["app1", "app2", "nginx"] {
        stack.start(service);
    }
    let (app2, nginx) = (stack.container("app2"), stack.container("nginx"));
    app2.wait_until_it_says("waiting for tcp://db:27017");
    nginx.wait_for("/app1/");
    nginx.wait_for_status("/app2/", 502);

    stack.start("db");
    nginx.wait_for("/app2/");
    app2.assert_it_waits_in_few_lines();

    // The database goes away, and comes back. Nobody touches the app.
    let (before, count) = (app2.started(), visit(&nginx));
    stack.container("db").stop();
    nginx.wait_for_status("/app2/", 503);
    assert_eq!(nginx.get("/app1/").status, 200);
    stack.start("db");
    nginx.wait_for("/app2/data");
    assert_eq!(visit(&nginx), count + 1);
    assert_eq!(app2.started(), before, "the app's container was not restarted");
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn a_new_image_brings_its_static_files_into_the_old_volume() {
    let stack = Stack::built("two-apps/compose.yaml");
    stack.up();
    let stale = ["sh", "-c", "echo 'old {}' >/srv/static/style.css"];
    assert!(stack.container("app1").exec(&stale).status.success());
    assert!(stack.container("nginx").get("/app1/static/style.css").body.starts_with("old"));
    stack.container("app1").crash();
    stack.wait_until_healthy();
    assert!(stack.container("nginx").get("/app1/static/style.css").body.starts_with(":root"));
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn two_apps_run_however_they_are_locked_up() {
    let stack = Stack::built("two-apps/compose.single.yaml");
    stack.up();
    let image = stack.image("all");
    stack.down();
    for way in WAYS {
        let all = Alone::run(&image, &[*way, &["--tmpfs", "/tmp"]].concat());
        all.wait_until_healthy();
        assert_apps_know_where_they_live(&all);
        all.assert_files(FILES);
        assert_eq!(visit(&all), 1);
        eprintln!("two-apps {way:?}: docker stop took {:?}", all.stop());
    }
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn the_task_definition_for_ecs_says_what_the_compose_file_says() {
    let text = include_str!("../../docker/two-apps/aws-task-definition.json");
    let task: Value = serde_json::from_str(text).unwrap();
    let containers = task["containerDefinitions"].as_array().unwrap();
    let stack = Stack::built("two-apps/compose.yaml");
    let services = stack.compose(&["config", "--services"]);
    let mut names: Vec<&str> = containers.iter().filter_map(|one| one["name"].as_str()).collect();
    let mut services: Vec<&str> = services.lines().collect();
    names.sort_unstable();
    services.sort_unstable();
    assert_eq!(names, services);
    for one in containers {
        assert_eq!(one["healthCheck"]["command"], serde_json::json!(["CMD", "minisup", "health"]), "{one}");
        for other in one["dependsOn"].as_array().into_iter().flatten() {
            assert!(names.contains(&other["containerName"].as_str().unwrap()), "{other}");
            assert_eq!(other["condition"], "HEALTHY");
        }
        for mounted in one["mountPoints"].as_array().into_iter().flatten() {
            let volumes = task["volumes"].as_array().unwrap();
            assert!(volumes.iter().any(|volume| volume["name"] == mounted["sourceVolume"]), "{mounted}");
        }
    }
    // Whom app2 waits for is in the same task, and so at the same address.
    let app2 = containers.iter().find(|one| one["name"] == "app2").unwrap();
    let compose = stack.compose(&["config"]);
    for name in ["MONGO_URL", "WAIT_FOR", "WAIT_FOR_TIMEOUT"] {
        let variables = app2["environment"].as_array().unwrap();
        let value = variables.iter().find(|variable| variable["name"] == name).expect(name)["value"].as_str();
        let value = value.unwrap().replace("127.0.0.1", "db");
        // Each version of docker-compose quotes numbers in its own way.
        let said = compose.lines().filter_map(|line| line.trim().split_once(": "));
        let mut said = said.filter(|(of, _)| *of == name).map(|(_, text)| text.trim_matches(['"', '\'']));
        assert!(said.any(|text| text == value), "{name} is not {value} in:\n{compose}");
    }
}

/// What AWS documents of RegisterTaskDefinition: which fields there must be, and between which bounds.
#[test]
fn the_task_definition_for_ecs_is_within_the_bounds_that_aws_documents() {
    let task: Value =
        serde_json::from_str(include_str!("../../docker/two-apps/aws-task-definition.json")).unwrap();
    let dockerfile = include_str!("../../docker/two-apps/Dockerfile");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert!(!text(&task["family"]).is_empty());
    assert_eq!(
        (&task["requiresCompatibilities"][0], &task["networkMode"]),
        (&"FARGATE".into(), &"awsvpc".into())
    );
    // Half a processor of Fargate goes with 1 to 4 GB.
    let memory: u32 = text(&task["memory"]).parse().unwrap();
    assert_eq!((text(&task["cpu"]).as_str(), memory % 1024, memory / 1024 <= 4), ("512", 0, true));
    assert!(text(&task["executionRoleArn"]).starts_with("arn:aws:iam::"), "awslogs and ECR need it");
    let containers = task["containerDefinitions"].as_array().unwrap();
    assert!(containers.iter().any(|one| one["essential"] == true), "at least one");
    let names: Vec<String> = containers.iter().map(|one| text(&one["name"])).collect();
    for (index, one) in containers.iter().enumerate() {
        let name = &names[index];
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        assert!(!name.is_empty() && name.chars().all(is_plain) && !text(&one["image"]).is_empty(), "{one}");
        let bounds = [
            ("/healthCheck/interval", 5, 300),
            ("/healthCheck/timeout", 2, 60),
            ("/healthCheck/retries", 1, 10),
            ("/healthCheck/startPeriod", 0, 300),
            ("/stopTimeout", 2, 120),
            ("/restartPolicy/restartAttemptPeriod", 60, 1800),
        ];
        for (field, least, most) in bounds {
            let value =
                one.pointer(field).and_then(Value::as_u64).unwrap_or_else(|| panic!("{name}: {field}"));
            assert!((least..=most).contains(&value), "{name}: {field} is {value}");
        }
        for other in one["dependsOn"].as_array().into_iter().flatten() {
            let before = names.iter().position(|known| *known == text(&other["containerName"])).unwrap();
            assert!(
                ["START", "COMPLETE", "SUCCESS", "HEALTHY"].contains(&text(&other["condition"]).as_str())
            );
            assert!(
                other["condition"] != "HEALTHY" || containers[before]["healthCheck"].is_object(),
                "{other}"
            );
            assert!(
                containers[before]["dependsOn"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .all(|back| back["containerName"] != **name)
            );
        }
        for mapping in one["portMappings"].as_array().into_iter().flatten() {
            let host = mapping.get("hostPort").unwrap_or(&mapping["containerPort"]);
            assert!(
                mapping["containerPort"].is_u64() && *host == mapping["containerPort"],
                "awsvpc: {mapping}"
            );
        }
        let log = &one["logConfiguration"];
        for option in ["awslogs-group", "awslogs-region", "awslogs-stream-prefix"] {
            assert!(!text(&log["options"][option]).is_empty(), "Fargate needs {option}: {log}");
        }
        // A volume is root's, 0755, unless the image of who writes into it has a VOLUME at the very place.
        for mounted in one["mountPoints"].as_array().into_iter().flatten() {
            let place = text(&mounted["containerPath"]);
            let is_declared = dockerfile.lines().any(|line| line == format!("VOLUME {place}"));
            assert!(mounted["readOnly"] == true || is_declared, "{name}: VOLUME {place}");
        }
    }
    for volume in task["volumes"].as_array().unwrap() {
        let Some(efs) = volume.get("efsVolumeConfiguration") else { continue };
        assert!(text(&efs["fileSystemId"]).starts_with("fs-"));
        // Its root belongs to root, and mongod is somebody else.
        assert!(text(&efs["authorizationConfig"]["accessPointId"]).starts_with("fsap-"), "{efs}");
        assert_eq!(efs["transitEncryption"], "ENABLED", "an access point needs it");
        assert_eq!(efs.get("rootDirectory"), None, "the access point says it");
    }
}

/// app1 is told by nginx, app2 by uWSGI: both get the path that they live at apart from the rest.
fn assert_apps_know_where_they_live(nginx: &Container) {
    let page = nginx.wait_for("/app1/");
    for words in ["<td>/app1</td>", "<td>/</td>", "href=\"/app1/static/style.css\""] {
        assert!(page.body.contains(words), "{words}\n{}", page.body);
    }
    let where_: Value = serde_json::from_str(&nginx.get("/app1/where/a/b%20c?x=1").body).unwrap();
    assert_eq!(where_, serde_json::json!({"script": "/app1", "path": "/where/a/b c", "name": "a/b c"}));
    let data: Value = serde_json::from_str(&nginx.wait_for("/app2/data").body).unwrap();
    assert_eq!(data["script"], "/app2");
    let moved = nginx.get("/app1");
    assert_eq!((moved.status, moved.header("location").ends_with("/app1/")), (301, true), "{moved:?}");
    assert_eq!(nginx.get("/app1/nowhere").status, 404);
}

/// In a browser: the page that leads to both, and both.
fn assert_it_looks_right(nginx: &Container) {
    let page = browser::look("two-apps", &nginx.url("/"), "main", "display", "grid");
    let drawn = "Array.from(document.images).every(image => image.naturalWidth > 0)";
    page.wait_until(drawn);
    page.follow("document.querySelector('a[href=\"/app1/\"]').click()");
    page.is_styled("main", "border-top-color", "rgb(11, 110, 110)");
    page.go(&nginx.url("/app2/"));
    page.is_styled(".count", "color", "rgb(138, 79, 160)");
    page.fits();
    page.complains_of_nothing();
}

/// Looks at app2's page: which visit that was. It stands in the page and in the database.
fn visit(nginx: &Container) -> u64 {
    let page = nginx.wait_for("/app2/");
    assert!(page.body.contains("href=\"/app2/static/style.css\""), "{}", page.body);
    let count = page.body.split("id=\"count\">").nth(1).and_then(|rest| rest.split('<').next());
    let count = count.and_then(|count| count.parse().ok()).expect("a count");
    assert!(page.body.contains(&format!("<th scope=\"row\">{count}</th>")), "{}", page.body);
    let data: Value = serde_json::from_str(&nginx.get("/app2/data").body).unwrap();
    assert_eq!(data["count"], count);
    count
}
