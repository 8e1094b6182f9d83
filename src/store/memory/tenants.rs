//! Tenants and keys in maps.

use super::Memory;
use crate::domain::clock::UnixMillis;
use crate::domain::id::{KeyId, OrganizationId, ProjectId};
use crate::domain::key::KeyRecord;
use crate::domain::tenant::{Organization, Project, ServiceAccount};
use crate::store::{KeyStore, Pending, TenantStore};

impl TenantStore for Memory {
    fn organizations(&self) -> Pending<'_, Vec<Organization>> {
        self.run(|tables| Ok(tables.organizations.values().cloned().collect()))
    }

    fn save_organization(&self, organization: Organization) -> Pending<'_, ()> {
        self.run(|tables| {
            tables.organizations.insert(organization.id, organization);
            Ok(())
        })
    }

    fn projects(&self, organization: OrganizationId) -> Pending<'_, Vec<Project>> {
        self.run(|tables| {
            let projects = tables.projects.values();
            Ok(projects.filter(|project| project.organization == organization).cloned().collect())
        })
    }

    fn project(&self, project: ProjectId) -> Pending<'_, Option<Project>> {
        self.run(|tables| Ok(tables.projects.get(&project).cloned()))
    }

    fn save_project(&self, project: Project) -> Pending<'_, ()> {
        self.run(|tables| {
            tables.projects.insert(project.id, project);
            Ok(())
        })
    }

    fn accounts(&self, project: ProjectId) -> Pending<'_, Vec<ServiceAccount>> {
        self.run(|tables| {
            Ok(tables.accounts.values().filter(|account| account.project == project).cloned().collect())
        })
    }

    fn save_account(&self, account: ServiceAccount) -> Pending<'_, ()> {
        self.run(|tables| {
            tables.accounts.insert(account.id, account);
            Ok(())
        })
    }
}

impl KeyStore for Memory {
    fn key_by_handle(&self, handle: String) -> Pending<'_, Option<KeyRecord>> {
        self.run(|tables| Ok(tables.keys.values().find(|key| key.handle == handle).cloned()))
    }

    fn key(&self, key: KeyId) -> Pending<'_, Option<KeyRecord>> {
        self.run(|tables| Ok(tables.keys.get(&key).cloned()))
    }

    fn keys(&self) -> Pending<'_, Vec<KeyRecord>> {
        self.run(|tables| Ok(tables.keys.values().cloned().collect()))
    }

    fn save_key(&self, key: KeyRecord) -> Pending<'_, ()> {
        self.run(|tables| {
            tables.keys.insert(key.id, key);
            Ok(())
        })
    }

    fn touch_key(&self, key: KeyId, at: UnixMillis) -> Pending<'_, ()> {
        self.run(|tables| {
            if let Some(key) = tables.keys.get_mut(&key) {
                key.last_used_at = Some(at);
            }
            Ok(())
        })
    }
}
