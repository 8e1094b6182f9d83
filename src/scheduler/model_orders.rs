//! What a worker is to do with its models, and what became of that: one order a model, the newest. Held in memory only: an
//! order ends with the process that it was given to.

use std::collections::BTreeMap;

use crate::domain::clock::UnixMillis;
use crate::domain::lease::{CarriedOut, HostedModel, ModelOrder};
use crate::domain::model::ModelId;

/// A model of a worker, as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelView {
    pub hosted: HostedModel,
    /// An order that is not carried out yet: whether the model is to be resident.
    pub ordered: Option<bool>,
    /// Why the last order could not be followed.
    pub error: Option<String>,
}

/// The orders to one worker.
#[derive(Debug, Default)]
pub(super) struct ModelOrders {
    last: u64,
    of_model: BTreeMap<ModelId, Standing>,
}

/// What has become of an order.
#[derive(Debug)]
enum Standing {
    Open { order: ModelOrder, told: bool },
    Failed(String),
}

impl ModelOrders {
    /// Wants a model in memory, or out of it. What is so already, or is ordered already, is not ordered again; a newer order
    /// takes the place of the one before.
    pub(super) fn want(&mut self, hosted: &HostedModel, resident: bool, at: UnixMillis) {
        let will_be = match self.of_model.get(&hosted.id) {
            Some(Standing::Open { order, .. }) => order.resident,
            Some(Standing::Failed(_)) | None => hosted.resident,
        };
        if will_be != resident {
            self.last = at.0.max(self.last + 1);
            let order = ModelOrder { number: self.last, model: hosted.id.clone(), resident };
            self.of_model.insert(hosted.id.clone(), Standing::Open { order, told: false });
        }
    }

    /// The open orders, the oldest first, and whether one of them was never told. They count as told from now on.
    pub(super) fn tell(&mut self) -> (Vec<ModelOrder>, bool) {
        let mut news = false;
        let mut orders = Vec::new();
        for standing in self.of_model.values_mut() {
            if let Standing::Open { order, told } = standing {
                news |= !std::mem::replace(told, true);
                orders.push(order.clone());
            }
        }
        orders.sort_by_key(|order| order.number);
        (orders, news)
    }

    /// Takes in what became of an order, unless a newer one has taken its place.
    pub(super) fn carried_out(&mut self, done: CarriedOut) {
        let number = |standing: &Standing| match standing {
            Standing::Open { order, .. } => Some(order.number),
            Standing::Failed(_) => None,
        };
        let mut all = self.of_model.iter();
        let found = all.find(|(_, standing)| number(standing) == Some(done.number));
        let Some(model) = found.map(|(model, _)| model.clone()) else { return };
        match done.error {
            Some(error) => self.of_model.insert(model, Standing::Failed(error)),
            None => self.of_model.remove(&model),
        };
    }

    /// A model with what is ordered of it.
    pub(super) fn view(&self, hosted: &HostedModel) -> ModelView {
        let (ordered, error) = match self.of_model.get(&hosted.id) {
            Some(Standing::Open { order, .. }) => (Some(order.resident), None),
            Some(Standing::Failed(error)) => (None, Some(error.clone())),
            None => (None, None),
        };
        ModelView { hosted: hosted.clone(), ordered, error }
    }

    /// A model is to leave, or leaves.
    pub(super) fn has_unload(&self) -> bool {
        let leaves =
            |standing: &Standing| matches!(standing, Standing::Open { order, .. } if !order.resident);
        self.of_model.values().any(leaves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UnixMillis = UnixMillis(1000);

    fn hosted(resident: bool) -> HostedModel {
        HostedModel { id: ModelId::new("wan-tiny"), quant_linear: false, resident }
    }

    fn done(order: &ModelOrder, error: Option<&str>) -> CarriedOut {
        CarriedOut { number: order.number, error: error.map(str::to_owned) }
    }

    #[test]
    fn an_order_is_told_until_it_is_carried_out_and_is_news_once() {
        let mut orders = ModelOrders::default();
        orders.want(&hosted(true), true, AT);
        assert_eq!(orders.tell(), (vec![], false), "it is there already");
        orders.want(&hosted(true), false, AT);
        orders.want(&hosted(true), false, AT);
        let (told, news) = orders.tell();
        assert!(told.len() == 1 && news && orders.has_unload());
        assert_eq!(orders.tell(), (told.clone(), false), "the answer may have been lost");
        orders.carried_out(done(&told[0], None));
        assert_eq!(orders.tell(), (vec![], false));
        assert_eq!(orders.view(&hosted(false)).ordered, None);
    }

    #[test]
    fn a_newer_order_takes_the_place_of_the_one_before_and_is_not_confirmed_by_it() {
        let mut orders = ModelOrders::default();
        orders.want(&hosted(true), false, AT);
        let (first, _) = orders.tell();
        orders.want(&hosted(true), true, AT);
        orders.carried_out(done(&first[0], None));
        let (second, news) = orders.tell();
        assert!(news && second[0].resident && second[0].number > first[0].number);
        assert_eq!(orders.view(&hosted(false)).ordered, Some(true));
    }

    #[test]
    fn a_failure_is_shown_until_the_next_order() {
        let mut orders = ModelOrders::default();
        orders.want(&hosted(false), true, AT);
        let (told, _) = orders.tell();
        orders.carried_out(done(&told[0], Some("no such file")));
        assert_eq!(orders.view(&hosted(false)).error.as_deref(), Some("no such file"));
        orders.want(&hosted(false), true, AT);
        assert_eq!(orders.view(&hosted(false)).error, None);
        assert!(orders.tell().1);
    }
}
