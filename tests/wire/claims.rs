//! What five published products promise about managing their users, claim by claim. Each test is named by the id of the claim that it shows, is driven over
//! the wire as a calling service would do it, and runs under the product's own access model. Where a claim has more to it than one story shows, the
//! rest is tested beside the behaviour, in the files around this folder.

mod jethub;
mod jetpack;
mod jetstack;
mod packetfabric;
mod portal;
