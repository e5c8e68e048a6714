//! `roster admin put-model`: an access model that is put in place, and what comes of it, a line for each thing.

use std::{io::Write, path::Path};

use super::{Operator, line, sentence};
use crate::grpc::pb::{self, access_model_service_client::AccessModelServiceClient};

impl Operator {
    pub(super) async fn put_model(&self, file: &Path, validate_only: bool, out: &mut impl Write) -> Result<(), String> {
        let document = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let request = pb::PutAccessModelRequest { document, validate_only, ..pb::PutAccessModelRequest::default() };
        let mut client = AccessModelServiceClient::new(self.channel.clone());
        let answer = client.put_access_model(self.request(request)).await.map_err(sentence)?.into_inner();
        for difference in &answer.differences {
            line(out, difference)?;
        }
        for change in &answer.rights_changes {
            let counts = format!("{} members, {} organizations", change.member_count, change.organization_count);
            let (gained, lost) = (signed('+', &change.gained_permissions), signed('-', &change.lost_permissions));
            let fields = [&change.organization_kind, &change.roles.join(","), &counts, &gained, &lost];
            line(out, &fields.map(String::as_str).join("\t"))?;
        }
        let model = answer.access_model.unwrap_or_default();
        let state = if validate_only { "VALID" } else { "IN PLACE" };
        let members = format!("{} members' rights change", answer.changed_member_count);
        line(out, &[&model.access_model, state, &model.etag, &members].join("\t"))
    }
}

fn signed(sign: char, permissions: &[String]) -> String {
    permissions.iter().map(|permission| format!("{sign}{permission}")).collect::<Vec<_>>().join(",")
}
