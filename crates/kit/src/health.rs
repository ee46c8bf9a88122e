//! Whether the process can serve: gRPC health and reflection on the public
//! port, `/healthz`, `/readyz` and `/metrics` over HTTP on the operations
//! port. Liveness depends on nothing; readiness asks each dependency.

mod grpc;
mod http_port;
mod probe;
mod reflection;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use confab_proto::method::METHODS;
use tonic::service::Routes;
use tonic_health::{
    ServingStatus::{self, NotServing, Serving},
    pb::health_server::HealthServer,
    server::HealthReporter,
};

pub(crate) use http_port::{answer, means_this_machine, not_for_you};
pub use probe::{CheckReport, Importance, Report, State};
pub use reflection::ReflectionError;

use crate::lifecycle::Lifecycle;

/// How often gRPC health is brought to what readiness says.
const FOLLOWED: Duration = Duration::from_secs(1);

/// The process's health; cheap to clone.
#[derive(Clone)]
pub struct Health {
    probes: Arc<probe::Probes>,
    reporter: HealthReporter,
    lifecycle: Lifecycle,
    jwks: Arc<OnceLock<String>>,
}

impl Health {
    /// Not ready until [`Health::set_ready`], and not any more once draining begins.
    pub async fn new(lifecycle: Lifecycle) -> Self {
        let reporter = HealthReporter::new();
        let health = Self { probes: Arc::default(), reporter, lifecycle, jwks: Arc::default() };
        health.report(NotServing).await;
        health
    }

    /// Adds a dependency that readiness asks, at most once a second and for
    /// at most 5 seconds. The error is shown to operators.
    pub fn add_probe<F>(
        &self,
        name: &'static str,
        importance: Importance,
        probe: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.probes.add(name, importance, Box::new(move || Box::pin(probe())));
    }

    /// From now on the process serves.
    pub async fn set_ready(&self) {
        self.probes.set_ready();
        if !self.lifecycle.is_draining() {
            self.report(Serving).await;
        }
    }

    /// From now on it does not; the server calls it when draining begins.
    pub async fn set_not_ready(&self) {
        self.report(NotServing).await;
    }

    /// Keeps gRPC health at what readiness says, for ever. Clients and balancers
    /// that watch it learn within two seconds that a dependency is lost or back.
    pub(crate) async fn follow_readiness(&self) {
        let mut told = None;
        loop {
            let is_ready = self.readiness().await.status.is_ready();
            if told != Some(is_ready) {
                self.report(if is_ready { Serving } else { NotServing }).await;
                told = Some(is_ready);
            }
            tokio::time::sleep(FOLLOWED).await;
        }
    }

    /// What `/readyz` shows.
    pub async fn readiness(&self) -> Report {
        if self.lifecycle.is_draining() {
            return Report::without_checks(State::Draining);
        }
        self.probes.report().await
    }

    /// Shows a JSON Web Key Set at `/.well-known/jwks.json`: in dev mode only,
    /// where whoever verifies tokens beside Confab fetches it. Later sets are
    /// ignored.
    pub fn show_jwks(&self, jwks: String) {
        let _shown_before = self.jwks.set(jwks);
    }

    pub(crate) fn jwks(&self) -> Option<&str> {
        self.jwks.get().map(String::as_str)
    }

    /// The routes with the standard services beside them: health for each
    /// service and over all, reflection v1 and v1alpha of the public contract.
    pub fn add_standard_services(&self, routes: Routes) -> Result<Routes, ReflectionError> {
        let health =
            tonic_health::server::HealthService::from_health_reporter(self.reporter.clone());
        let health = HealthServer::new(grpc::GrpcHealth(health));
        reflection::add_services(routes.add_service(health))
    }

    async fn report(&self, status: ServingStatus) {
        self.reporter.set_service_status("", status).await;
        for service in public_services() {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Health")
    }
}

/// The full names of the contract's services that clients may know of.
pub(crate) fn public_services() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = METHODS
        .iter()
        .filter(|method| !method.is_mesh())
        .filter_map(|method| method.path.trim_start_matches('/').split('/').next())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests;
