//! All that is measured of a server, in order.

use std::sync::Arc;
use std::time::Duration;

use super::client::Target;
use super::load::{Load, Phase, Verb};
use super::process::Server;
use super::report::{Better, Report};
use super::tenants::Kind;
use super::{Args, Failure, Part, bare, bulk, definitions, neighbours, tenants, watchers};

/// How a table of objects is asked for, as `kubectl get` does.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// A server under measurement.
pub(super) struct Suite<'a> {
    pub(super) args: &'a Args,
    /// The administrator.
    pub(super) admin: Target,
    /// Who makes the load: a user with rights by RBAC, if the server knows a token of one.
    pub(super) bench: Target,
    /// The server's processes, if they are known.
    pub(super) server: Option<Server>,
    pub(super) report: Report,
}

impl Suite<'_> {
    /// Measures what was asked for.
    pub(super) async fn run(&mut self) -> Result<(), Failure> {
        if let Some(server) = &self.server {
            let ready = server.ready_after.as_secs_f64() * 1e3;
            self.report.add("start to ready, empty store", "ms", Better::Less, ready);
            tokio::time::sleep(Duration::from_secs(3)).await;
            self.report.add("resident memory, idle", "MiB", Better::Less, server.resident_mib());
        }
        let admin = Arc::new(self.admin.connect(4).await?);
        if self.wants(Part::Tenants) && self.args.tenants > 0 {
            tenants::measure(self.args, admin.clone(), self.server.as_ref(), &mut self.report).await?;
        }
        if self.wants(Part::Bulk) {
            drop(admin);
            let server = self.server.as_mut().ok_or("the part `bulk` needs a server that this program starts")?;
            bulk::measure(self.args.bulk, &self.admin, server, &mut self.report).await?;
            return Ok(());
        }
        let others =
            [Part::Crud, Part::Lists, Part::Watch, Part::Definitions, Part::Neighbours, Part::Restart, Part::Etcd];
        if !others.into_iter().any(|part| self.wants(part)) {
            return Ok(());
        }
        let kind = Kind::of(&admin).await?;
        let path = kind.create_for_bench(&admin, "loaded").await?;
        let victim = kind.create_for_bench(&admin, "victim").await?;
        if self.wants(Part::Crud) {
            self.crud(&path).await?;
        }
        if self.wants(Part::Etcd) {
            self.bare_etcd(&path).await?;
        }
        if self.wants(Part::Neighbours) {
            let victim = Load::new(self.bench.connect(1).await?, &victim);
            let noisy = kind.create_for_bench(&admin, "noisy").await?;
            let neighbour = Arc::new(Load::new(self.bench.connect(4).await?, &noisy));
            let lasts = self.args.lasts() * 2;
            neighbours::measure(&victim, neighbour, lasts, &mut self.report).await?;
        }
        if self.wants(Part::Lists) || self.wants(Part::Watch) {
            self.lists_and_watches(&kind.create_for_bench(&admin, "listed").await?).await?;
        }
        if self.wants(Part::Definitions) {
            let mut paths = vec![path];
            for number in 1..self.args.definition_tenants {
                paths.push(kind.create_for_bench(&admin, &format!("defined-{number}")).await?);
            }
            let prefix = |path: &String| path.split("/api/v1").next().unwrap_or_default().to_owned();
            let prefixes: Vec<String> = paths.iter().map(prefix).collect();
            let plan = self.definitions();
            definitions::measure(&admin, &prefixes, &plan, self.server.as_ref(), &mut self.report).await?;
        }
        if let Some(server) = self.server.as_mut().filter(|_| self.args.parts.contains(&Part::Restart)) {
            drop(admin);
            let again = server.restart().await?;
            self.report.add("restart with all that", "ms", Better::Less, again.as_secs_f64() * 1e3);
            tokio::time::sleep(Duration::from_secs(3)).await;
            self.report.add("  resident memory after it", "MiB", Better::Less, server.resident_mib());
        }
        Ok(())
    }

    fn definitions(&self) -> definitions::Plan {
        let used = if self.args.definition_objects { definitions::Use::Objects } else { definitions::Use::Idle };
        // One tenant's are measured soon, as they always were; several once history has forgotten how they came to be.
        let settle = if self.args.definition_tenants > 1 { self.args.settle() } else { Duration::from_secs(2) };
        definitions::Plan { count: self.args.definitions, fields: self.args.definition_fields, used, settle }
    }

    fn wants(&self, part: Part) -> bool {
        self.args.parts.contains(&part)
    }

    /// Each verb by clients that wait for their answers, and creations at a rate.
    async fn crud(&mut self, path: &str) -> Result<(), Failure> {
        let mut load = Load::new(self.bench.connect(1).await?, path);
        let plan = [
            ("create 1 KiB", Verb::Create, &[1, 16, 64, 256][..]),
            ("get", Verb::Get, &[1, 16, 64, 256]),
            ("update", Verb::Update, &[1, 16, 64, 256]),
            ("merge patch", Verb::MergePatch, &[1, 16, 64, 256]),
            ("server-side apply", Verb::Apply, &[1, 16, 64, 256]),
            ("delete", Verb::Delete, &[64]),
        ];
        for (name, verb, all) in plan {
            let args = self.args;
            for clients in
                all.iter().copied().filter(|clients: &usize| !args.short || *clients == 64 || verb == Verb::Create)
            {
                // One connection for sixteen clients, as so many programs would have.
                load.client = self.bench.connect(clients.div_ceil(16)).await?;
                let cpu = self.server.as_ref().map(Server::cpu_seconds);
                let phase = load.run(verb, clients, self.args.lasts()).await?;
                let spent = self.server.as_ref().map(Server::cpu_seconds).zip(cpu).map(|(now, then)| now - then);
                self.report_phase(&format!("{name}, {clients} clients"), &phase, spent);
            }
        }
        if self.args.rate > 0 {
            load.client = self.bench.connect(4).await?;
            let phase = load.at_rate(Verb::Create, self.args.rate, self.args.lasts() * 2).await?;
            let what = format!("create 1 KiB at {}/s", self.args.rate);
            self.report.add(&format!("{what}, p50"), "ms", Better::Less, phase.quantile_ms(0.5));
            self.report.add(&format!("{what}, p99"), "ms", Better::Less, phase.quantile_ms(0.99));
        }
        Ok(())
    }

    /// Creations in the server's etcd itself, and through the server, in turn.
    async fn bare_etcd(&mut self, path: &str) -> Result<(), Failure> {
        let left = self.server.as_ref().map(|server| server.directory().join("etcd-url"));
        let left = left.and_then(|file| std::fs::read_to_string(file).ok()).map(|url| url.trim().to_owned());
        let Some(url) = self.args.etcd.clone().or(left) else { return Ok(()) };
        let mut load = Load::named("bare", self.bench.connect(1).await?, path);
        load.fill(1).await?;
        let value = bare::value(&load.client, path).await?;
        for clients in [1, 64] {
            let bare = bare::create(&url, value.clone(), clients, self.args.lasts()).await?;
            self.report_phase(&format!("create 1 KiB in etcd itself, {clients} clients"), &bare, None);
            load.client = self.bench.connect(clients.div_ceil(16)).await?;
            let served = load.run(Verb::Create, clients, self.args.lasts()).await?;
            self.report_phase(&format!("create 1 KiB in turn with that, {clients} clients"), &served, None);
            let share = served.rate() / bare.rate() * 100.0;
            self.report.add(&format!("  share of what etcd itself takes, {clients} clients"), "%", Better::More, share);
        }
        Ok(())
    }

    fn report_phase(&mut self, what: &str, phase: &Phase, spent: Option<f64>) {
        self.report.add(what, "/s", Better::More, phase.rate());
        self.report.add(&format!("  {what}, p50"), "ms", Better::Less, phase.quantile_ms(0.5));
        self.report.add(&format!("  {what}, p99"), "ms", Better::Less, phase.quantile_ms(0.99));
        let done = phase.latencies.len().max(1) as f64;
        if let Some(seconds) = spent {
            self.report.add(&format!("  {what}, server"), "CPU s per 1,000", Better::Less, seconds * 1e3 / done);
        }
        if phase.refused > 0 {
            let share = phase.refused as f64 / (done + phase.refused as f64);
            self.report.add(&format!("  {what}, refused"), "% of all", Better::Less, share * 100.0);
        }
    }

    /// Lists of more and more objects, and events to more and more watchers.
    async fn lists_and_watches(&mut self, path: &str) -> Result<(), Failure> {
        let load = Load::new(self.bench.connect(4).await?, path);
        if self.wants(Part::Lists) {
            for objects in &self.args.lists {
                self.lists(&load, *objects).await?;
            }
        }
        if self.wants(Part::Watch) {
            load.fill(100).await?;
            for watchers in &self.args.watchers {
                self.watches(&load, *watchers).await?;
            }
        }
        Ok(())
    }

    /// Lists of so many objects, and what these take.
    async fn lists(&mut self, load: &Load, objects: usize) -> Result<(), Failure> {
        let rounds = if self.args.short { 5 } else { 15 };
        let (before, had) = (self.server.as_ref().map(Server::resident_mib), load.created());
        load.fill(objects).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        if let Some((now, then)) = self.server.as_ref().map(Server::resident_mib).zip(before) {
            let each = (now - then) * 1024.0 / (load.created() - had).max(1) as f64;
            self.report.add(&format!("memory per object of 1 KiB, of {objects}"), "KiB", Better::Less, each);
        }
        for (name, query, media) in [
            ("full", "?resourceVersion=0", ""),
            ("limit=500", "?limit=500", ""),
            ("1 % selected", "?resourceVersion=0&labelSelector=part=hundredth", ""),
            ("table", "?resourceVersion=0", TABLE),
        ] {
            let cpu = self.server.as_ref().map(Server::cpu_seconds);
            let took = load.read(&format!("{}{query}", load.path), media, rounds).await?;
            let what = format!("list of {objects}, {name}");
            self.report.add(&what, "ms", Better::Less, took.as_secs_f64() * 1e3);
            if let Some((now, then)) = self.server.as_ref().map(Server::cpu_seconds).zip(cpu) {
                let each = (now - then) * 1e3 / rounds as f64;
                self.report.add(&format!("  {what}, server"), "CPU ms", Better::Less, each);
            }
        }
        Ok(())
    }

    /// Events to so many watchers.
    async fn watches(&mut self, load: &Load, watchers: usize) -> Result<(), Failure> {
        let shape = (watchers, self.args.deliveries);
        let delivered = watchers::fan_out(load, &self.bench, self.server.as_ref(), shape).await?;
        let what = format!("watch, {watchers} watchers");
        self.report.add(&what, "events delivered/s", Better::More, delivered.rate);
        if let Some(cpu) = delivered.cpu_us.filter(|_| delivered.events > 0) {
            self.report.add(&format!("  {what}, each delivery"), "CPU µs", Better::Less, cpu);
        }
        if let Some(kib) = delivered.kib.filter(|_| watchers >= 100) {
            self.report.add(&format!("  {what}, each"), "KiB", Better::Less, kib);
        }
        Ok(())
    }
}
