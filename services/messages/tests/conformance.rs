//! The embedded log store passes the suite.

use std::sync::Mutex;

use confab_messages::store::{conformance, embedded::EmbeddedLogStore};
use confab_store::embedded::{Engine, Options};

#[tokio::test]
async fn embedded_log_store_conforms() {
    let folders = Mutex::new(Vec::new());
    let factory = async || {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = Engine::open(folder.path(), Options::default()).expect("an engine");
        folders.lock().expect("not poisoned").push(folder);
        EmbeddedLogStore::open(&engine).expect("keyspaces")
    };
    conformance::run(factory).await.expect("the suite passes");
}
