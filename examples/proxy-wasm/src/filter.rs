//! Filters: instances of plugins at work, which exchanges pass through.
//!
//! An instance that traps, or that misses the deadline of a callback, is replaced by another one; the exchanges that were in
//! it fail, and nobody else's.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{AbortHandle, block_in_place};
use wasmelt_embed::{Error, Result};

use crate::abi::ROOT;
use crate::message::Message;
use crate::plugin::{Plugin, Vm};
use crate::state::{Call, Way};

/// How much of a body a filter is shown at once.
const PART_BYTES: usize = 16 << 10;

/// For how long a filter may hold back a message.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// An instance of a plugin that is replaced when it fails.
pub(crate) struct Filter {
    plugin: Plugin,
    running: Mutex<Running>,
    /// Something has happened for which exchanges may wait.
    changed: Notify,
    this: Weak<Filter>,
}

struct Running {
    vm: Vm,
    /// Which of the instances this is.
    generation: u64,
    has_failed: bool,
    ticker: Option<(Duration, AbortHandle)>,
}

/// How a message leaves a filter.
pub(crate) enum Passed {
    GoesOn(Message),
    /// The filter has answered itself.
    Answered(Message),
}

impl Filter {
    pub(crate) fn start(plugin: Plugin) -> Result<Arc<Self>> {
        let running = Running { vm: plugin.start()?, generation: 0, has_failed: false, ticker: None };
        let filter = Arc::new_cyclic(|this| Self {
            plugin,
            running: Mutex::new(running),
            changed: Notify::new(),
            this: this.clone(),
        });
        let mut running = filter.running.lock().unwrap_or_else(PoisonError::into_inner);
        filter.carry_out(&mut running);
        drop(running);
        Ok(filter)
    }

    /// Does something with the instance: with just this one, where a number is given. What fails costs the instance.
    fn with<R>(&self, generation: Option<u64>, action: impl FnOnce(&mut Vm) -> Result<R>) -> Result<(R, u64)> {
        block_in_place(|| {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if running.has_failed {
                running.vm = self.plugin.start()?;
                (running.generation, running.has_failed) = (running.generation + 1, false);
            }
            if generation.is_some_and(|generation| generation != running.generation) {
                return Err(Error::msg("the filter has failed in between"));
            }
            let result = action(&mut running.vm).and_then(|result| {
                running.vm.forget_done()?;
                Ok(result)
            });
            if let Err(error) = &result {
                eprintln!("[error] {}: {error}", self.plugin.settings().name);
                running.has_failed = true;
            }
            self.carry_out(&mut running);
            self.changed.notify_waiters();
            Ok((result?, running.generation))
        })
    }

    /// Does what the plugin has asked for.
    fn carry_out(&self, running: &mut Running) {
        let (generation, state) = (running.generation, running.vm.state());
        let (calls, tick) = (std::mem::take(&mut state.calls), if running.has_failed { None } else { state.tick });
        if running.ticker.as_ref().map(|(period, _)| *period) != tick {
            if let Some((_, old)) = running.ticker.take() {
                old.abort();
            }
            running.ticker = tick.map(|period| {
                let ticks = tick_for_ever(self.this.clone(), generation, period);
                (period, tokio::spawn(ticks).abort_handle())
            });
        }
        for call in calls {
            tokio::spawn(perform(self.this.clone(), generation, call));
        }
    }

    /// Begins an exchange.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Passage> {
        let (context, generation) = self.with(None, Vm::begin)?;
        Ok(Passage { filter: Arc::clone(self), context, generation })
    }
}

async fn tick_for_ever(filter: Weak<Filter>, generation: u64, period: Duration) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    loop {
        ticks.tick().await;
        let Some(filter) = filter.upgrade() else { return };
        if filter.with(Some(generation), |vm| vm.call::<u32, ()>(ROOT, "proxy_on_tick", ROOT)).is_err() {
            return;
        }
    }
}

/// Performs a call of a plugin's, and tells it of the response: one without fields where there is none.
async fn perform(filter: Weak<Filter>, generation: u64, call: Call) {
    let Some(max) = filter.upgrade().map(|filter| filter.plugin.settings().max_body_bytes) else { return };
    let Call { token, context, server, request, timeout, _permit } = call;
    let response = request.send(&server, timeout, max).await.unwrap_or_default();
    let Some(filter) = filter.upgrade() else { return };
    let params = (context, token, len(response.fields.0.len()), len(response.body.len()), 0_u32);
    // An instance that has failed waits for nothing.
    let _ = filter.with(Some(generation), |vm| {
        vm.state().response = Some(response);
        let told = vm.call::<_, ()>(context, "proxy_on_http_call_response", params);
        vm.state().response = None;
        told
    });
}

fn len(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// An exchange in a filter. The filter is told of the end, however it comes.
pub(crate) struct Passage {
    filter: Arc<Filter>,
    context: u32,
    generation: u64,
}

impl Drop for Passage {
    fn drop(&mut self) {
        let _ = self.with(|vm, context| vm.end(context));
    }
}

impl Passage {
    fn with<R>(&self, action: impl FnOnce(&mut Vm, u32) -> Result<R>) -> Result<R> {
        let (result, _) = self.filter.with(Some(self.generation), |vm| action(vm, self.context))?;
        Ok(result)
    }

    /// Lets a message pass. The filter sees its body in parts, and as long as it holds them back, all of them at once.
    pub(crate) async fn pass(&self, way: Way, message: Message) -> Result<Passed> {
        let Message { fields, body } = message;
        let mut parts = body.chunks(PART_BYTES).peekable();
        let mut passed = Vec::new();
        let goes_on = self.with(|vm, context| {
            let count = fields.0.len();
            *message_of(vm, context, way)? = Message { fields, body: Vec::new() };
            vm.show(context, way, 0, count, body.is_empty())
        })?;
        if let Some(answer) = self.wait(way, goes_on).await? {
            return Ok(Passed::Answered(answer));
        }
        while let Some(part) = parts.next() {
            let is_end = parts.peek().is_none();
            let goes_on = self.with(|vm, context| {
                let held = &mut message_of(vm, context, way)?.body;
                held.extend_from_slice(part);
                let len = held.len();
                vm.show(context, way, 1, len, is_end)
            })?;
            // The last part waits; the others do for the next one.
            let answer = self.wait(way, goes_on || !is_end).await?;
            if let Some(answer) = answer {
                return Ok(Passed::Answered(answer));
            }
            if goes_on || is_end {
                let held = self.with(|vm, context| Ok(std::mem::take(&mut message_of(vm, context, way)?.body)))?;
                passed.extend(held);
            }
        }
        let fields = self.with(|vm, context| Ok(message_of(vm, context, way)?.fields.clone()))?;
        Ok(Passed::GoesOn(Message { fields, body: passed }))
    }

    /// Waits until the filter lets the message go on or answers itself.
    async fn wait(&self, way: Way, goes_on: bool) -> Result<Option<Message>> {
        let settled = async {
            loop {
                let changed = self.filter.changed.notified();
                let mut changed = std::pin::pin!(changed);
                changed.as_mut().enable();
                if let Some(end) = self.end_of_wait(way, goes_on)? {
                    return Ok(end);
                }
                changed.await;
            }
        };
        let late = |_| Err(Error::msg("a filter has held back a message for too long"));
        tokio::time::timeout(LONGEST_PAUSE, settled).await.unwrap_or_else(late)
    }

    /// What the wait has led to, if it is over. It looks at the instance without waking others who look at it.
    fn end_of_wait(&self, way: Way, goes_on: bool) -> Result<Option<Option<Message>>> {
        let mut running = self.filter.running.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = running.generation == self.generation && !running.has_failed;
        let exchange = running.vm.state().exchanges.get_mut(&self.context).filter(|_| is_there);
        let exchange = exchange.ok_or_else(|| Error::msg("the filter has failed"))?;
        if exchange.is_closed {
            return Err(Error::msg("the filter has closed the exchange"));
        }
        let answer = exchange.answer.take();
        let is_over = answer.is_some() || goes_on || !exchange.is_paused[way as usize];
        Ok(is_over.then_some(answer))
    }
}

fn message_of(vm: &mut Vm, context: u32, way: Way) -> Result<&mut Message> {
    let exchange = vm.state().exchanges.get_mut(&context).ok_or_else(|| Error::msg("no such exchange"))?;
    Ok(exchange.message(way))
}
