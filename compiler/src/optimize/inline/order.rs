//! In which order functions are inlined into one another: bottom-up over the strongly connected components of the call
//! graph, found by Tarjan's algorithm.

/// The numbers of functions in levels: what a function calls is in a level before its own, or calls the function back,
/// directly or through others. Functions of one level need nothing of one another, so they can be treated in parallel.
/// `callees` has the numbers of those that each function calls.
pub(crate) fn levels(callees: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut search = Search { callees, states: vec![State::New; callees.len()], open: Vec::new(), levels: Vec::new() };
    (0..callees.len()).for_each(|function| search.visit(function));
    search.levels.iter_mut().for_each(|level| level.sort_unstable());
    search.levels
}

/// How far the search is with a function.
#[derive(Clone, Copy)]
enum State {
    New,
    /// Its component is not complete. The first function of it that was seen, as far as known, by its order.
    Open(usize),
    /// Its component is complete, and is in this level.
    Done(usize),
}

struct Search<'a> {
    callees: &'a [Vec<usize>],
    states: Vec<State>,
    /// Functions whose component is not complete, in the order in which they were seen.
    open: Vec<usize>,
    levels: Vec<Vec<usize>>,
}

/// A function in the middle of being visited.
struct Visit {
    function: usize,
    /// Its place in the list of open functions.
    order: usize,
    /// How many of its callees have been looked at.
    seen: usize,
}

impl Search<'_> {
    /// Visits a function and all that it calls. Call chains are as long as modules like, so this does not recurse.
    fn visit(&mut self, function: usize) {
        let mut visits: Vec<Visit> = self.begin(function).into_iter().collect();
        while let Some(visit) = visits.last_mut() {
            match self.callees[visit.function].get(visit.seen) {
                Some(&callee) => {
                    visit.seen += 1;
                    match self.states[callee] {
                        State::New => visits.extend(self.begin(callee)),
                        State::Open(first) => self.reaches(visit.function, first),
                        State::Done(_) => {}
                    }
                }
                None => {
                    let (function, order) = (visit.function, visit.order);
                    visits.pop();
                    self.end(function, order, visits.last().map(|caller| caller.function));
                }
            }
        }
    }

    fn begin(&mut self, function: usize) -> Option<Visit> {
        let order = self.open.len();
        matches!(self.states[function], State::New).then(|| {
            self.states[function] = State::Open(order);
            self.open.push(function);
            Visit { function, order, seen: 0 }
        })
    }

    /// Records that a function leads to an open one.
    fn reaches(&mut self, function: usize, first: usize) {
        if let State::Open(known) = &mut self.states[function] {
            *known = first.min(*known);
        }
    }

    /// All that the function calls was visited. Where it is the first of its component, the component is complete.
    fn end(&mut self, function: usize, order: usize, caller: Option<usize>) {
        let State::Open(first) = self.states[function] else { return };
        if first != order {
            caller.into_iter().for_each(|caller| self.reaches(caller, first));
            return;
        }
        let component = self.open.split_off(order);
        let callees = component.iter().flat_map(|&member| &self.callees[member]);
        let below = callees.filter_map(|&callee| match self.states[callee] {
            State::Done(level) => Some(level + 1),
            _ => None,
        });
        let level = below.max().unwrap_or(0);
        component.iter().for_each(|&member| self.states[member] = State::Done(level));
        if self.levels.len() <= level {
            self.levels.resize(level + 1, Vec::new());
        }
        self.levels[level].extend(component);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callees_come_before_their_callers() {
        // 0 calls 1 and 2, 1 calls 2, 3 calls nothing.
        assert_eq!(levels(&[vec![1, 2], vec![2], vec![], vec![]]), [vec![2, 3], vec![1], vec![0]]);
        assert_eq!(levels(&[]), [[0; 0]; 0]);
    }

    #[test]
    fn functions_that_call_one_another_share_a_level() {
        // 0 and 1 call each other, and 1 calls 2, which calls itself; 3 calls 0.
        assert_eq!(levels(&[vec![1], vec![0, 2], vec![2], vec![0]]), [vec![2], vec![0, 1], vec![3]]);
        // A ring with a way back in its middle.
        assert_eq!(levels(&[vec![1], vec![2], vec![1, 3], vec![0]]), [[0, 1, 2, 3]]);
    }

    #[test]
    fn long_chains_take_no_stack() {
        let chain: Vec<_> = (0..200_000).map(|i| if i + 1 < 200_000 { vec![i + 1] } else { Vec::new() }).collect();
        assert_eq!(levels(&chain).len(), 200_000);
    }
}
