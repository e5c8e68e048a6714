//! Slugs: unique, changeable, and a former one leads to the organization for a while.

use std::time::Duration;

use roster_test_macros::wire_test;
use tonic::{Code, Status};

use crate::safety::confined_keys::confined;
use crate::support::pb::create_organization_request::Owner;
use crate::support::pb::{
    CreateOrganizationRequest, LookupOrganizationRequest, LookupOrganizationResponse, Organization,
    UpdateOrganizationRequest,
};
use crate::support::race::at_once;
use crate::support::runner::rounds;
use crate::support::scenario::{
    Scenario, assert_invalid, assert_refused, call, create_user, service_key, texts, traces, with_credential,
};
use crate::support::world::World;

fn naming(of: &Scenario, slug: &str) -> UpdateOrganizationRequest {
    UpdateOrganizationRequest {
        organization: Some(Organization {
            organization_id: of.organization_id.clone(),
            slug: slug.to_owned(),
            ..Organization::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: texts(&["slug"]) }),
        ..UpdateOrganizationRequest::default()
    }
}

async fn name(of: &Scenario, slug: &str) -> Result<String, Status> {
    let answer = call!(of.world, organizations.update_organization, &of.owner.session, naming(of, slug))?;
    Ok(answer.organization.unwrap().slug)
}

async fn look_up(world: &World, credential: &str, slug: &str) -> Result<LookupOrganizationResponse, Status> {
    let request = LookupOrganizationRequest { slug: slug.to_owned() };
    call!(world, organizations.lookup_organization, credential, request)
}

/// A slug leads those who belong to the organization to it, also for 90 days after it was changed; to others there is nothing. Then it is free.
#[wire_test]
async fn a_slug_leads_to_its_organization_and_a_former_one_for_a_while(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    assert_eq!(name(&acme, "acme").await.unwrap(), "acme");
    let found = look_up(&world, &acme.owner.session, "acme").await.unwrap();
    assert_eq!((found.organization_id, found.slug.as_str()), (acme.organization_id.clone(), "acme"));
    let key = service_key(&world, &["organizations.read"]).await;
    look_up(&world, &key, "acme").await.unwrap();
    for (nobody, slug) in [(&other.owner.session, "acme"), (&key, "nobodys")] {
        assert_refused(look_up(&world, nobody, slug).await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    }
    assert_invalid(look_up(&world, &key, "Acme").await, &["slug"]);
    // To a key that is confined elsewhere (ab_48), too.
    let (_, elsewhere) = confined(&world, &["organizations.read"], &[&other.organization_id]).await;
    assert_refused(look_up(&world, &elsewhere, "acme").await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    name(&other, "other").await.unwrap();
    look_up(&world, &elsewhere, "other").await.unwrap();
    assert_invalid(name(&acme, "-acme").await, &["organization.slug"]);

    name(&acme, "acme-engines").await.unwrap();
    let redirected = look_up(&world, &acme.owner.session, "acme").await.unwrap();
    assert_eq!((redirected.organization_id, redirected.slug.as_str()), (acme.organization_id.clone(), "acme-engines"));
    let before = traces(&world).await;
    let refused = assert_refused(name(&other, "acme").await, Code::AlreadyExists, "SLUG_TAKEN");
    assert_eq!((refused.hint(), traces(&world).await), ("choose another slug", before));
    // Its own former one it takes back.
    name(&acme, "acme").await.unwrap();
    name(&acme, "").await.unwrap();
    assert_eq!(look_up(&world, &acme.owner.session, "acme").await.unwrap().slug, "");
    world.clock.advance(Duration::from_secs(90 * 24 * 3600));
    assert_refused(look_up(&world, &key, "acme").await, Code::NotFound, "ORGANIZATION_NOT_FOUND");
    assert_eq!(name_by_operator(&other, "acme").await.unwrap(), "acme");
    assert_eq!(look_up(&world, &key, "acme").await.unwrap().organization_id, other.organization_id);
}

async fn name_by_operator(of: &Scenario, slug: &str) -> Result<String, Status> {
    let answer = call!(of.world, organizations.update_organization, of.world.operator_key(), naming(of, slug))?;
    Ok(answer.organization.unwrap().slug)
}

/// An organization is made with a slug, and one that is only tried out holds none. Who changes it again and again keeps the last ten from others.
#[wire_test]
async fn a_slug_is_held_by_one_organization_and_ten_former_ones_at_the_most(world: World) {
    let ada = create_user(&world, "ada@example.com").await;
    let create = |slug: &str, validate_only: bool| CreateOrganizationRequest {
        display_name: "Acme".to_owned(),
        slug: slug.to_owned(),
        owner: Some(Owner::OwnerUserId(ada.user_id.clone())),
        validate_only,
        ..CreateOrganizationRequest::default()
    };
    let made = |request| async { call!(world, organizations.create_organization, world.operator_key(), request) };
    made(create("acme", true)).await.unwrap();
    let acme = made(create("acme", false)).await.unwrap().organization.unwrap();
    assert_eq!(acme.slug, "acme");
    assert_refused(made(create("acme", false)).await, Code::AlreadyExists, "SLUG_TAKEN");
    let acme = Scenario { world: world.clone(), organization_id: acme.organization_id, owner: ada.clone() };
    for number in 0..11 {
        world.clock.advance(Duration::from_secs(1));
        name(&acme, &format!("acme-{number}")).await.unwrap();
    }
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    assert_refused(name(&other, "acme-0").await, Code::AlreadyExists, "SLUG_TAKEN");
    name(&other, "acme").await.unwrap();
}

/// Of two organizations that take the same slug at once, one has it.
#[wire_test]
async fn two_organizations_never_have_the_same_slug(world: World) {
    let acme = Scenario::acme(&world).await;
    let other = Scenario::with(&world, "default", "", "other@example.com").await;
    for round in 0..rounds() {
        let slug = format!("slug-{round}");
        let takes = [&acme, &other].map(|of| {
            let (world, request) = (world.clone(), with_credential(&of.owner.session, naming(of, &slug)));
            async move { world.organizations().update_organization(request).await.map(drop) }
        });
        let answers = at_once(takes.into()).await;
        let mut told = answers.iter().map(|answer| answer.as_ref().map_err(Status::code));
        let (one, two) = (told.next().unwrap(), told.next().unwrap());
        assert!(
            matches!((one, two), (Ok(()), Err(Code::AlreadyExists)) | (Err(Code::AlreadyExists), Ok(()))),
            "{one:?} {two:?}"
        );
    }
}
