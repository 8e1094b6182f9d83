//! Files in maps.

use super::Memory;
use crate::domain::clock::UnixMillis;
use crate::domain::file::StoredFile;
use crate::domain::id::FileId;
use crate::domain::key::ProjectScope;
use crate::store::query::cut;
use crate::store::{FilePage, FileQuery, FileStore, Garbage, Left, Order, Pending, Reach, StoreError};

impl FileStore for Memory {
    fn save_file(&self, file: StoredFile) -> Pending<'_, ()> {
        self.write(move |tables| {
            tables.named(Left::File { file: file.id });
            tables.files.insert(file.id, file);
            Ok(())
        })
    }

    fn file(&self, reach: Reach, file: FileId) -> Pending<'_, Option<StoredFile>> {
        self.run(|tables| {
            let file = tables.files.get(&file).filter(|file| reach.covers(file.scope.project));
            Ok(file.cloned())
        })
    }

    fn files(&self, scope: ProjectScope, query: FileQuery) -> Pending<'_, FilePage> {
        self.run(|tables| {
            if let Some(after) = query.after {
                let known = tables.files.get(&after).map(|file| file.scope.project);
                let known = known.or(tables.gone_files.get(&after).map(|(project, _)| *project));
                if known != Some(scope.project) {
                    return Err(StoreError::NotFound);
                }
            }
            let meant = |file: &&StoredFile| {
                file.scope.project == scope.project
                    && file.expires_at > query.now
                    && query.purpose.is_none_or(|purpose| purpose == file.purpose)
                    && query.after.is_none_or(|after| match query.order {
                        Order::Newest => file.id < after,
                        Order::Oldest => file.id > after,
                    })
            };
            let mut files: Vec<_> = tables.files.values().filter(meant).cloned().collect();
            if query.order == Order::Newest {
                files.reverse();
            }
            let (files, has_more) = cut(files, query.limit);
            Ok(FilePage { files, has_more })
        })
    }

    fn expired_files(&self, now: UnixMillis, limit: u32) -> Pending<'_, Vec<StoredFile>> {
        self.run(|tables| {
            let mut expired: Vec<_> =
                tables.files.values().filter(|file| file.expires_at <= now).cloned().collect();
            expired.sort_by_key(|file| (file.expires_at, file.id));
            expired.truncate(limit as usize);
            Ok(expired)
        })
    }

    fn delete_file(&self, scope: ProjectScope, file: FileId, at: UnixMillis) -> Pending<'_, Garbage> {
        self.run(|tables| {
            let mine = tables.files.get(&file).is_some_and(|file| file.scope.project == scope.project);
            if !mine {
                return Err(StoreError::NotFound);
            }
            tables.files.remove(&file);
            tables.gone_files.insert(file, (scope.project, at));
            let garbage = Garbage { due: at, scope, left: Left::File { file } };
            tables.garbage.insert(garbage.clone());
            Ok(garbage)
        })
    }
}
