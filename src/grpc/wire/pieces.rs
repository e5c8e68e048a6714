//! Streams that give something long in pieces.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use tonic::Status;

use crate::grpc::layers::authenticate::Admitted;

/// Something long that is read piece by piece.
pub(crate) trait Pieces: Send + 'static {
    /// A piece of it.
    type Piece: Send + 'static;

    /// The call that asked for it.
    fn admitted(&self) -> &Arc<Admitted>;

    /// The next piece; `None` behind the last. By who the reader is by now: credentials, and the right to read, may have been taken back since the piece before.
    fn next(&mut self) -> impl Future<Output = Result<Option<Self::Piece>, Status>> + Send;
}

/// Reads a piece when the one before it has been taken, so that a slow reader costs one piece of memory. The first is read before the answer begins: who may not read at all is told by
/// the answer's status.
///
/// # Errors
/// Those of the first piece.
pub(crate) async fn in_pieces<P: Pieces>(
    mut source: P,
) -> Result<BoxStream<'static, Result<P::Piece, Status>>, Status> {
    let first = source.next().await?;
    let pieces = stream::try_unfold((source, Some(first)), |(mut source, ready)| async move {
        let piece = match ready {
            Some(piece) => piece,
            None => {
                let _place = source.admitted().permits().await?;
                source.next().await?
            }
        };
        Ok(piece.map(|piece| (piece, (source, None))))
    });
    Ok(pieces.boxed())
}
