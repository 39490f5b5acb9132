//! A library of its own memory: collects numbers and says what they have in common.

use std::cell::RefCell;

thread_local! {
    static NUMBERS: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

#[unsafe(no_mangle)]
pub extern "C" fn stats_add(number: f64) {
    NUMBERS.with_borrow_mut(|numbers| numbers.push(number));
}

#[unsafe(no_mangle)]
pub extern "C" fn stats_mean() -> f64 {
    NUMBERS.with_borrow(|numbers| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

#[unsafe(no_mangle)]
pub extern "C" fn stats_median() -> f64 {
    NUMBERS.with_borrow_mut(|numbers| {
        numbers.sort_by(f64::total_cmp);
        let middle = numbers.len() / 2;
        if numbers.len() % 2 == 1 { numbers[middle] } else { (numbers[middle - 1] + numbers[middle]) / 2.0 }
    })
}
