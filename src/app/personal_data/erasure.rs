//! Erasing a person: the account is deleted, and what is left of it and of what belongs to it says nothing of who they were.

use uuid::Uuid;

use crate::{
    app::{
        App,
        call::{context::Ctx, error::Result, mutation::Mutation},
        invitations::take_back,
        require_etag,
        users::states::ChangeUserState,
    },
    domain::{
        email::EmailAddress,
        erasure::{DATA_ERASED, USER_ERASED, named},
        error::Reason,
        invitation::InvitationState,
        member::MemberState,
        user::{UserChange, UserState, already_erased},
    },
    store::{Contact, DeletedRows, Invitation, Organization, Tx, User},
};

/// Erases a person.
#[derive(Debug)]
pub(crate) struct Erase {
    /// Who.
    pub(crate) user_id: Uuid,
    /// The state that the erasure is based on.
    pub(crate) etag: String,
    /// Whether everything is checked and nothing is erased.
    pub(crate) validate_only: bool,
}

/// What was erased, and what an operator has to look at.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Memberships that ended.
    pub(crate) memberships: u64,
    /// Rows that were deleted.
    pub(crate) rows: DeletedRows,
    /// Invitations that say no more who was invited.
    pub(crate) invitations: u64,
    /// Messages that say no more where they went.
    pub(crate) messages: u64,
    /// Entries of records whose data was erased.
    pub(crate) audit_entries: u64,
    /// Contacts of organizations with the person's address. They are the organizations' own.
    pub(crate) remaining_contacts: Vec<Contact>,
}

/// Erases a person. What organizations have entered themselves stays: their contacts, and what services said of others.
///
/// # Errors
/// `USER_NOT_FOUND`, `LAST_OWNER`, `USER_STATE_CONFLICT` where they have been erased before.
impl Mutation for Erase {
    type Outcome = (User, Report);

    async fn apply(&self, app: &App, ctx: &Ctx, tx: &mut Tx) -> Result<Self::Outcome> {
        let user = tx.lock_user(self.user_id).await?.ok_or(Reason::UserNotFound)?;
        require_etag(&self.etag, user.revision)?;
        if user.erase_time.is_some() {
            return Err(already_erased().into());
        }
        let address = own_address(tx, &user).await?;
        // All at once and by ascending id: what follows locks some of them again, and two who each hold what the other wants would wait for ever.
        let mut organizations = Vec::new();
        for id in tx.organizations_of(user.id, address.as_ref().map(EmailAddress::key)).await? {
            organizations.extend(tx.lock_organization(id).await?);
        }
        let mut report = Report::default();
        let belonged = tx.memberships(user.id).await?;
        report.memberships = belonged.iter().filter(|(_, member)| member.state != MemberState::Removed).count() as u64;
        let user = match user.state {
            UserState::Deleted => user,
            UserState::Active | UserState::Suspended => {
                let (change, etag) = (UserChange::Delete, String::new());
                let delete = ChangeUserState { user_id: user.id, change, etag, validate_only: false };
                delete.apply(app, ctx, tx).await?
            }
        };
        let mut invitations = tx.invitations_of(user.id, address.as_ref().map(EmailAddress::key)).await?;
        for organization in organizations {
            // As the deletion has left it.
            let Some(mut organization) = tx.lock_organization(organization.id).await? else { continue };
            let theirs =
                invitations.extract_if(.., |invitation| invitation.organization_id == organization.id).collect();
            erase_in(ctx, tx, &mut organization, &user, (address.as_ref(), theirs), &mut report).await?;
        }
        tx.erase_member_names(user.id).await?;
        tx.delete_search_terms(vec![user.id]).await?;
        if let Some(address) = &address {
            // Others may read the same mailbox by another address.
            let theirs = |typed: &str| EmailAddress::parse(typed).is_ok_and(|to| to.key() == address.key());
            let sent = tx.messages_to(&address.mailbox_key()).await?;
            let ids: Vec<Uuid> = sent.into_iter().filter(|(_, typed)| theirs(typed)).map(|(id, _)| id).collect();
            report.messages += tx.erase_messages(&ids, ctx.now).await?;
        }
        report.rows = tx.delete_rows_of(&user).await?;
        let entries = tx.erase_event_data(user.id, None).await?;
        report.audit_entries += entries.len() as u64;
        let mut user = nobody(user, ctx);
        ctx.record_user(tx, &mut user, USER_ERASED, named(&entries)).await?;
        Ok((user, report))
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }
}

/// The address of a person, where they have shown that it is theirs and nobody else has it by now: who has only typed it has no part in what went there.
async fn own_address(tx: &Tx, user: &User) -> Result<Option<EmailAddress>> {
    let Ok(address) = EmailAddress::parse(&user.email) else { return Ok(None) };
    let other = tx.user_by_email(address.key()).await?.is_some_and(|other| other.id != user.id);
    Ok(Some(address).filter(|_| user.email_verify_time.is_some() && !other))
}

/// Erases what an organization's rows and record hold of a person.
async fn erase_in(
    ctx: &Ctx,
    tx: &mut Tx,
    organization: &mut Organization,
    user: &User,
    (address, invitations): (Option<&EmailAddress>, Vec<Invitation>),
    report: &mut Report,
) -> Result<()> {
    let mut subjects = vec![user.id];
    for invitation in invitations {
        let invitation = match invitation.state == InvitationState::Pending {
            true => take_back(ctx, tx, organization, invitation, false).await?,
            false => invitation,
        };
        subjects.push(invitation.id);
        report.messages += tx.erase_messages(&[invitation.message_id], ctx.now).await?;
        tx.delete_search_terms(vec![invitation.id]).await?;
        tx.erase_invitation(invitation).await?;
        report.invitations += 1;
    }
    let entries = tx.erase_event_data(organization.id, Some(subjects)).await?;
    if !entries.is_empty() {
        report.audit_entries += entries.len() as u64;
        ctx.record(tx, organization, DATA_ERASED, Some(user.id), named(&entries)).await?;
    }
    if let Some(address) = address {
        report.remaining_contacts.extend(tx.contact_by_email(organization.id, address.key()).await?);
    }
    Ok(())
}

/// The account without anything that says whose it was.
fn nobody(user: User, ctx: &Ctx) -> User {
    User {
        email: String::new(),
        // No address has this form, so that nothing finds the account by it.
        email_key: format!("erased:{}", user.id),
        email_verify_time: None,
        given_name: String::new(),
        family_name: String::new(),
        display_name: None,
        username: None,
        locale: None,
        phone_number: None,
        attributes: None,
        password_hash: None,
        mfa_enabled: false,
        proof_time: None,
        last_sign_in_time: None,
        last_active_time: None,
        state_before_deletion: None,
        erase_time: Some(ctx.now),
        ..user
    }
}
