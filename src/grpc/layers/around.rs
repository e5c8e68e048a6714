//! What tower asks of every layer, once for all of ours.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

/// The service behind a layer.
pub(crate) trait Inner:
    Service<Request<Body>, Response = Response<Body>, Future: Send> + Clone + Send + 'static
{
}

impl<S: Service<Request<Body>, Response = Response<Body>, Future: Send> + Clone + Send + 'static> Inner for S {}

/// What is done around each call.
pub(crate) trait Around: Clone + Send + 'static {
    /// Answers a call by the service behind, or instead of it.
    ///
    /// # Errors
    /// Those of the service behind.
    fn answer<S: Inner>(
        self,
        inner: S,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, S::Error>> + Send;
}

/// Puts it around a service.
#[derive(Clone)]
pub(crate) struct AroundLayer<A>(pub(crate) A);

impl<S, A: Clone> Layer<S> for AroundLayer<A> {
    type Service = Surrounded<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded { inner, around: self.0.clone() }
    }
}

/// A service with something around each call.
#[derive(Clone)]
pub(crate) struct Surrounded<S, A> {
    inner: S,
    around: A,
}

impl<S: Inner, A: Around> Service<Request<Body>> for Surrounded<S, A> {
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The clone that was polled ready has to be the one that is called.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(self.around.clone().answer(inner, request))
    }
}
