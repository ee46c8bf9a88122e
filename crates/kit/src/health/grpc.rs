//! gRPC health as its protocol has it. tonic's refuses to watch a service that
//! is not there; the protocol says that on a stream that stays open.

use std::future::ready;

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tonic::{Code, Request, Response, Status};
use tonic_health::{
    pb::{
        HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
        health_server::Health,
    },
    server::HealthService,
};

/// The health service of the public port.
pub(super) struct GrpcHealth(pub(super) HealthService);

#[tonic::async_trait]
impl Health for GrpcHealth {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.0.check(request).await
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        match self.0.watch(request).await {
            Ok(answer) => Ok(answer.map(StreamExt::boxed)),
            Err(status) if status.code() == Code::NotFound => {
                // No service is added while the process runs: nothing follows.
                let status = ServingStatus::ServiceUnknown.into();
                let unknown = stream::once(ready(Ok(HealthCheckResponse { status })));
                Ok(Response::new(unknown.chain(stream::pending()).boxed()))
            }
            Err(status) => Err(status),
        }
    }
}
