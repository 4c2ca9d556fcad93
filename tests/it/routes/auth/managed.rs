//! Tokens that tokens make: `/_flywheel/v1/tokens`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{create_cache, may, said};
use crate::harness::{Answer, Http, Server};

/// A server with the caches `team-a` and `team-b`, and somebody who manages tokens of both.
async fn managed() -> (Server, Http) {
    let server = Server::new();
    for cache in ["team-a", "team-b", "other"] {
        create_cache(&server.admin(), cache, false).await;
    }
    let options = ["--sub", "lead", "--validity", "1d", "--pull", "*", "--push", "team-*", "--manage-tokens", "team-*"];
    let lead = server.http().with_token(&server.token(&options));
    (server, lead)
}

async fn mint(http: &Http, subject: &str, validity: i64, grants: Value) -> Answer {
    let ask = json!({"subject": subject, "validity": validity, "grants": grants});
    http.send_json(Method::POST, "/_flywheel/v1/tokens", &ask).await
}

#[tokio::test]
async fn a_token_makes_others_that_may_do_no_more() {
    let (server, lead) = managed().await;
    let minted = mint(&lead, "ci", 3600, json!({"team-a": ["pull", "push"]})).await.expect(200).json();
    let ci = server.http().with_token(minted["token"].as_str().unwrap());
    assert_eq!((may(&ci, "team-a").await, may(&ci, "team-b").await), ("r w".to_owned(), String::new()));
    let all = json!({"team-*": ["pull", "push", "manage-tokens"]});
    let deputy = mint(&lead, "deputy", 3600, all).await.expect(200).json();
    let deputy = server.http().with_token(deputy["token"].as_str().unwrap());
    mint(&deputy, "ci", 60, json!({"team-b": ["pull"]})).await.expect(200);

    for (why, validity, grants, expected) in [
        ("does not hold it", 60, json!({"team-a": ["delete"]}), "403 AccessError"),
        ("does not manage it", 60, json!({"other": ["pull"]}), "403 AccessError"),
        ("more caches", 60, json!({"*": ["pull"]}), "403 AccessError"),
        ("more caches", 60, json!({"team*": ["pull"]}), "403 AccessError"),
        ("does not hold it", 60, json!({"team-a": ["read-audit"]}), "403 AccessError"),
        ("longer", 2 * 86400, json!({"team-a": ["pull"]}), "403 AccessError"),
        ("no time", 0, json!({"team-a": ["pull"]}), "403 AccessError"),
        ("nothing", 60, json!({}), "400 RequestError"),
        ("nothing", 60, json!({"team-a": []}), "400 RequestError"),
        ("no permission", 60, json!({"team-a": ["w"]}), "400 RequestError"),
        ("no pattern", 60, json!({"a b": ["pull"]}), "400 RequestError"),
    ] {
        assert_eq!(said(&mint(&lead, "x", validity, grants.clone()).await), expected, "{why}: {grants}");
    }
    for subject in ["", "two\nlines", &"x".repeat(257)] {
        assert_eq!(said(&mint(&lead, subject, 60, json!({"team-a": ["pull"]})).await), "400 RequestError");
    }
    for (who, expected) in [(&ci, "403 AccessError"), (&server.http(), "401 Unauthorized")] {
        assert_eq!(said(&mint(who, "x", 60, json!({"team-a": ["pull"]})).await), expected);
        assert_eq!(said(&who.get("/_flywheel/v1/tokens").await), expected);
        assert_eq!(said(&who.delete("/_flywheel/v1/tokens/x").await), expected);
    }
}

#[tokio::test]
async fn a_manager_sees_and_revokes_what_is_theirs() {
    let (server, lead) = managed().await;
    let minted = mint(&lead, "ci", 3600, json!({"team-a": ["pull"]})).await.expect(200).json();
    let id = minted["id"].as_str().unwrap();
    let ci = server.http().with_token(minted["token"].as_str().unwrap());
    let page = lead.get("/_flywheel/v1/tokens").await.expect(200).json();
    let subjects: Vec<&str> =
        page["tokens"].as_array().unwrap().iter().map(|t| t["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["ci"], "not those of admins, who may do more: {page}");
    let shown = lead.get(&format!("/_flywheel/v1/tokens/{id}")).await.expect(200).json();
    assert_eq!((shown["minted-by"].as_str(), shown["grants"].clone()), (Some("lead"), json!({"team-a": ["pull"]})));
    assert!(shown["parent"].is_string() && shown.get("token").is_none(), "{shown}");

    // The admins' own tokens are there, but not for the lead.
    let output = server.command().args(["token", "list", "--json", "--subject", "admin"]).output().unwrap();
    let admin: Value = serde_json::from_slice(output.stdout.split(|&b| b == b'\n').next().unwrap()).unwrap();
    for absent in [admin["id"].as_str().unwrap(), "unknown"] {
        let url = format!("/_flywheel/v1/tokens/{absent}");
        assert_eq!(said(&lead.get(&url).await), "404 NoSuchToken");
        assert_eq!(said(&lead.delete(&url).await), "404 NoSuchToken");
    }
    let subject = json!({"subject": "admin"});
    assert_eq!(said(&lead.send_json(Method::POST, "/_flywheel/v1/tokens/revoke", &subject).await), "403 AccessError");
    assert_eq!(may(&server.admin(), "other").await, "r w cc cr cq", "no admin has lost anything");

    assert_eq!(may(&ci, "team-a").await, "r");
    let revoked = lead.delete(&format!("/_flywheel/v1/tokens/{id}")).await.expect(200).json();
    assert_eq!(revoked, json!({"tokens": 1}));
    assert_eq!(may(&ci, "team-a").await, "");
    let root = server.token(&["--sub", "root", "--validity", "1d", "--manage-tokens", "*"]);
    let root = server.http().with_token(&root);
    root.send_json(Method::POST, "/_flywheel/v1/tokens/revoke", &json!({"subject": "lead"})).await.expect(200);
    assert_eq!(said(&lead.get("/_flywheel/v1/tokens").await), "401 Unauthorized");
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    let (server, _) = managed().await;
    let root = server.token(&["--sub", "root", "--validity", "1d", "--pull", "*", "--manage-tokens", "*"]);
    let root = server.http().with_token(&root);
    let make = |at: i64| mint(&root, "many", 3600 + at, json!({"main": ["pull"]}));
    for at in 0..520 {
        make(at).await.expect(200);
    }
    let first = root.get("/_flywheel/v1/tokens?subject=many").await.expect(200).json();
    let next = first["next"].as_str().unwrap();
    let second = root.get(&format!("/_flywheel/v1/tokens?subject=many&after={next}")).await.expect(200).json();
    let count = |page: &Value| page["tokens"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&second), second.get("next")), (500, 20, None));
    for bad in ["after=x", "after=1", "unknown=1", "expiring=-1"] {
        let status = root.get(&format!("/_flywheel/v1/tokens?{bad}")).await.status;
        assert_eq!(status.as_u16(), 400, "{bad}");
    }
}
