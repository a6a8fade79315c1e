//! Priority and fairness: how many requests are served at a time, and whose.
//!
//! The process has seats (`settings.rs`). They are shared fairly between logical clusters first (`gate.rs`); what a cluster
//! has is divided by its flow schemas and priority levels, as in Kubernetes (`policy.rs`, `tenant.rs`, `line.rs`). What a
//! request is worth and how it is refused on the wire is not decided here.

pub mod bootstrap;
mod deal;
mod gate;
mod line;
mod policy;
mod rate;
mod retry;
mod schema;
mod settings;
pub mod stored;
mod tenant;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use atoll_api::user::SYSTEM_MASTERS;
use atoll_api::{LogicalClusterName, UserInfo};

use crate::request::RequestInfo;
use policy::Manner;
use rate::Limiter;

pub use gate::{Load, Refusal};
pub use rate::{Each, RateLimit};
pub use settings::Settings;

/// How many requests are served at a time, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowControl {
    /// As many as there are seats, shared fairly between logical clusters, and within each by its flow schemas and
    /// priority levels.
    Fair(Settings),
    /// So many that read, and so many that write, whoever makes them; more are refused at once.
    InFlight {
        /// The most requests that read.
        reading: u32,
        /// The most requests that write.
        writing: u32,
    },
    /// All of them.
    Unlimited,
}

/// A request that asks to be served.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Its logical cluster, if it is there.
    pub cluster: Option<&'a LogicalClusterName>,
    /// Who makes it.
    pub user: &'a UserInfo,
    /// What it asks for.
    pub info: &'a RequestInfo,
    /// Whether whoever makes it may do everything everywhere, in its own name.
    pub standing: Standing,
    /// How long it goes on.
    pub lasts: Lasts,
    /// How much work it is, in seats; never fewer than one is taken.
    pub work: u32,
}

/// Whose word counts everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The server itself: it is let through unseen.
    Server,
    /// Somebody who is recognised in every logical cluster, in its own name.
    Everywhere,
    /// Somebody of one logical cluster, or in somebody else's name.
    Tenant,
}

/// How long a request goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// Until it is answered.
    Shortly,
    /// A watch: it takes seats until it has begun.
    Watch,
    /// A connection: it takes no seats.
    Connection,
}

/// Decides whose requests are served.
pub struct Flow {
    mode: Mode,
    limiter: Option<Limiter>,
    policies: Arc<stored::Policies>,
}

enum Mode {
    Fair(Arc<gate::Gate>),
    InFlight { reading: Arc<Count>, writing: Arc<Count> },
    Unlimited,
}

struct Count {
    most: u32,
    now: AtomicU32,
}

/// The leave to be served. Seats are free again when it is dropped.
pub struct Admitted {
    seats: Holds,
    /// What counts it as long as it goes on.
    lasting: Option<gate::Held>,
    /// Where the request belongs, if that was asked.
    pub belongs: Option<Belongs>,
}

enum Holds {
    Nothing,
    Seats { _seats: gate::Seats },
    Slot(Arc<Count>),
}

/// Where a request belongs, as answers tell it: by uids, since names may say more than a client should know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Belongs {
    /// The uid of its flow schema.
    pub schema_uid: String,
    /// The uid of its priority level.
    pub level_uid: String,
}

/// A request that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why, and when to come again.
    pub refusal: Refusal,
    /// Where the request belongs, if that was asked.
    pub belongs: Option<Belongs>,
}

// === impl FlowControl ===

impl Default for FlowControl {
    fn default() -> Self {
        Self::Fair(Settings::default())
    }
}

impl FlowControl {
    /// How many seats the priority levels of a cluster divide.
    pub fn seats_of_one(&self) -> u32 {
        match self {
            Self::Fair(settings) => settings.seats_of_one(),
            Self::InFlight { reading, writing } => reading.saturating_add(*writing),
            Self::Unlimited => Settings::default().seats_of_one(),
        }
    }
}

// === impl Flow ===

impl Flow {
    /// Flow control as an embedder wants it, by these policies.
    pub fn new(control: FlowControl, rate: Option<RateLimit>, policies: Arc<stored::Policies>) -> Self {
        let count = |most| Arc::new(Count { most, now: AtomicU32::new(0) });
        let mode = match control {
            FlowControl::Fair(settings) => Mode::Fair(gate::Gate::new(settings)),
            FlowControl::InFlight { reading, writing } => {
                Mode::InFlight { reading: count(reading), writing: count(writing) }
            }
            FlowControl::Unlimited => Mode::Unlimited,
        };
        Self { mode, limiter: rate.map(Limiter::new), policies }
    }

    /// The policies by which it decides.
    pub fn policies(&self) -> &Arc<stored::Policies> {
        &self.policies
    }

    /// Where requests are.
    pub fn load(&self) -> Load {
        match &self.mode {
            Mode::Fair(gate) => gate.load(),
            Mode::InFlight { reading, writing } => {
                let seats = reading.now.load(Ordering::Relaxed) + writing.now.load(Ordering::Relaxed);
                Load { seats, ..Load::default() }
            }
            Mode::Unlimited => Load::default(),
        }
    }

    /// How many seats each priority level of a cluster has by its shares; nothing where levels are not asked.
    pub fn nominal_limits(&self, cluster: &LogicalClusterName) -> BTreeMap<String, u32> {
        match &self.mode {
            Mode::Fair(_) => self.policies.of(cluster).nominal_limits(),
            Mode::InFlight { .. } | Mode::Unlimited => BTreeMap::new(),
        }
    }

    /// Waits until a request may be served. `work` is asked only of requests that take seats.
    pub async fn enter(&self, asking: Asking<'_>) -> Result<Admitted, Refused> {
        if asking.standing == Standing::Server {
            return Ok(Admitted::free(None));
        }
        let privileged = asking.standing == Standing::Everywhere && asking.user.is_in(SYSTEM_MASTERS);
        if let (Some(limiter), false) = (&self.limiter, privileged) {
            limiter
                .count(asking.cluster, &asking.user.name)
                .map_err(|retry_after| Refused { refusal: Refusal { retry_after, reason: "rate" }, belongs: None })?;
        }
        match &self.mode {
            Mode::Fair(gate) => self.enter_fairly(gate, asking, privileged).await,
            Mode::InFlight { .. } if privileged || asking.lasts != Lasts::Shortly => Ok(Admitted::free(None)),
            Mode::InFlight { reading, writing } => {
                let reads = matches!(asking.info.verb.as_str(), "get" | "list" | "watch");
                Count::enter(if reads { reading } else { writing })
            }
            Mode::Unlimited => Ok(Admitted::free(None)),
        }
    }

    async fn enter_fairly(
        &self,
        gate: &Arc<gate::Gate>,
        asking: Asking<'_>,
        privileged: bool,
    ) -> Result<Admitted, Refused> {
        let policy = match asking.cluster {
            Some(cluster) => self.policies.of(cluster),
            None => self.policies.everywhere(),
        };
        let name = || asking.cluster.cloned();
        if asking.lasts == Lasts::Connection {
            let held = match privileged {
                true => None,
                false => Some(gate.hold(name(), &policy).map_err(|refusal| Refused { refusal, belongs: None })?),
            };
            return Ok(Admitted { seats: Holds::Nothing, lasting: held, belongs: None });
        }
        let (schema, level) = policy.classify(asking.user, asking.info);
        let belongs = Belongs { schema_uid: schema.uid.clone(), level_uid: level.uid.clone() };
        // What a tenant may call exempt is so among its own requests only.
        let of_the_server = asking.cluster.is_some_and(LogicalClusterName::is_root);
        if privileged || (of_the_server && level.manner == Manner::Exempt) {
            return Ok(Admitted::free(Some(belongs)));
        }
        let refused = |refusal| Refused { refusal, belongs: Some(belongs.clone()) };
        let lasting = match asking.lasts {
            Lasts::Watch => Some(gate.hold(name(), &policy).map_err(refused)?),
            _ => None,
        };
        let flow = || deal::hash(&schema.name, schema.flow(asking.user, asking.info));
        let seats = asking.work.clamp(1, level.widest());
        let ask = gate::Ask { name: name(), policy: &policy, level, flow: &flow, seats };
        let seats = gate.enter(ask).await.map_err(refused)?;
        Ok(Admitted { seats: Holds::Seats { _seats: seats }, lasting, belongs: Some(belongs) })
    }
}

// === impl Count ===

impl Count {
    fn enter(this: &Arc<Self>) -> Result<Admitted, Refused> {
        if this.now.fetch_add(1, Ordering::AcqRel) < this.most {
            return Ok(Admitted { seats: Holds::Slot(this.clone()), lasting: None, belongs: None });
        }
        this.now.fetch_sub(1, Ordering::AcqRel);
        Err(Refused { refusal: Refusal { retry_after: 1, reason: "in-flight" }, belongs: None })
    }
}

// === impl Admitted ===

impl Admitted {
    fn free(belongs: Option<Belongs>) -> Self {
        Self { seats: Holds::Nothing, lasting: None, belongs }
    }

    /// Gives the seats back: the answer has begun, and what remains to do goes on for long.
    pub fn has_begun(&mut self) {
        self.seats = Holds::Nothing;
    }

    /// Whether anything is given back when this is dropped.
    pub fn holds_something(&self) -> bool {
        self.lasting.is_some() || !matches!(self.seats, Holds::Nothing)
    }
}

impl Drop for Holds {
    fn drop(&mut self) {
        if let Self::Slot(count) = self {
            count.now.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
