//! The contract as data, for reflection.

/// The encoded descriptor set of the contract, with comments and options.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/roster.v1.binpb"));

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;
    use crate::domain::error::Reason;

    #[test]
    fn the_reasons_of_the_domain_and_of_the_contract_are_the_same() {
        let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
        let contract = pool.get_enum_by_name("roster.v1.ErrorReason").unwrap();
        let mut declared: Vec<String> = contract
            .values()
            .map(|value| value.name().trim_start_matches("ERROR_REASON_").to_owned())
            .filter(|name| name != "UNSPECIFIED")
            .collect();
        let mut given: Vec<String> = Reason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
        declared.sort();
        given.sort();
        assert_eq!(declared, given);
    }
}
