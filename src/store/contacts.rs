//! Contacts of an organization. `contact_roles` is `contacts.notification_roles` the other way round; both are written here and nowhere else.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, JoinType, Order,
    PaginatorTrait, QueryFilter, QuerySelect, RelationDef, Select, SelectTwoModel, Set,
};
use uuid::Uuid;

use super::{
    Contact, Cursor, Result, Tx, View,
    entities::{contact_roles, contacts},
    page,
};

impl<C: ConnectionTrait> View<C> {
    /// One contact of an organization.
    pub(crate) async fn contact(&self, organization: Uuid, id: Uuid) -> Result<Option<Contact>> {
        Ok(contacts::Entity::find_by_id(id)
            .filter(contacts::Column::OrganizationId.eq(organization))
            .one(&self.0)
            .await?)
    }

    /// The contact of an organization with an address.
    pub(crate) async fn contact_by_email(&self, organization: Uuid, email_key: &str) -> Result<Option<Contact>> {
        Ok(with_email(organization, Some(email_key)).one(&self.0).await?)
    }

    /// Contacts of an organization, by name; or the one with an address.
    pub(crate) async fn contacts_page(
        &self,
        organization: Uuid,
        email_key: Option<&str>,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<Contact>> {
        use contacts::Column;

        let query = with_email(organization, email_key);
        self.page(page::by_key(query, Column::SortKey, Column::Id, after, limit)).await
    }

    /// How many contacts the filter leaves.
    pub(crate) async fn contacts_count(&self, organization: Uuid, email_key: Option<&str>) -> Result<u64> {
        Ok(with_email(organization, email_key).count(&self.0).await?)
    }

    /// The contacts that have a notification role, by id.
    pub(crate) async fn recipients_page(
        &self,
        organization: Uuid,
        role: &str,
        after: Option<&Cursor>,
        limit: u64,
    ) -> Result<Vec<Contact>> {
        let contact: RelationDef = contact_roles::Entity::belongs_to(contacts::Entity)
            .from(contact_roles::Column::ContactId)
            .to(contacts::Column::Id)
            .into();
        let query = with_role(organization, role).join(JoinType::InnerJoin, contact).select_also(contacts::Entity);
        let query = page::by_id(query, contact_roles::Column::ContactId, Order::Asc, after, limit);
        let found = self.page_of::<SelectTwoModel<contact_roles::Model, contacts::Model>>(query).await?;
        Ok(found.into_iter().filter_map(|(_, contact)| contact).collect())
    }

    /// How many contacts have a notification role.
    pub(crate) async fn recipients_count(&self, organization: Uuid, role: &str) -> Result<u64> {
        Ok(with_role(organization, role).count(&self.0).await?)
    }
}

fn with_email(organization: Uuid, email_key: Option<&str>) -> Select<contacts::Entity> {
    contacts::Entity::find().filter(
        Condition::all()
            .add(contacts::Column::OrganizationId.eq(organization))
            .add_option(email_key.map(|key| contacts::Column::EmailKey.eq(key))),
    )
}

fn with_role(organization: Uuid, role: &str) -> Select<contact_roles::Entity> {
    contact_roles::Entity::find()
        .filter(contact_roles::Column::OrganizationId.eq(organization))
        .filter(contact_roles::Column::Role.eq(role))
}

impl Tx {
    /// Adds a contact.
    pub(crate) async fn insert_contact(&mut self, contact: Contact) -> Result<()> {
        let roles = roles_of(&contact);
        contacts::Entity::insert(contact.into_active_model()).exec_without_returning(&self.view.0).await?;
        self.insert_contact_roles(roles).await
    }

    /// Stores a contact's new fields.
    pub(crate) async fn update_contact(&mut self, contact: Contact) -> Result<()> {
        let roles = roles_of(&contact);
        self.delete_contact_roles(contact.id).await?;
        contact.into_active_model().reset_all().update(&self.view.0).await?;
        self.insert_contact_roles(roles).await
    }

    /// Deletes a contact.
    pub(crate) async fn delete_contact(&mut self, id: Uuid) -> Result<()> {
        self.delete_contact_roles(id).await?;
        contacts::Entity::delete_by_id(id).exec(&self.view.0).await?;
        Ok(())
    }

    async fn insert_contact_roles(&mut self, roles: Vec<contact_roles::ActiveModel>) -> Result<()> {
        if roles.is_empty() {
            return Ok(());
        }
        contact_roles::Entity::insert_many(roles).exec_without_returning(&self.view.0).await?;
        Ok(())
    }

    async fn delete_contact_roles(&mut self, contact: Uuid) -> Result<()> {
        contact_roles::Entity::delete_many()
            .filter(contact_roles::Column::ContactId.eq(contact))
            .exec(&self.view.0)
            .await?;
        Ok(())
    }
}

fn roles_of(contact: &Contact) -> Vec<contact_roles::ActiveModel> {
    let role = |role: &str| contact_roles::ActiveModel {
        organization_id: Set(contact.organization_id),
        role: Set(role.to_owned()),
        contact_id: Set(contact.id),
    };
    contact.notification_roles.iter().map(role).collect()
}
