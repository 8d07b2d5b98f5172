//! Values of rows, the same in every adapter: messages of `proto::v1`.

use prost::Message;
use proto::Malformed;

use super::StoreError;

pub(super) fn decode<M, T>(value: &[u8]) -> Result<T, StoreError>
where
    M: Message + Default,
    T: TryFrom<M, Error = Malformed>,
{
    let message = M::decode(value).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    T::try_from(message).map_err(|malformed| StoreError::Corrupt(malformed.to_string()))
}
