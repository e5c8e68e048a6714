//! Which tests run when: most of them side by side, and after them one by one those that measure.

use libtest_mimic::{Arguments, Trial};

/// The tests that compare times, or hold a call to a short one: they run last and one by one, so that no other test is what they measure.
pub(crate) const ALONE: [&str; 12] = [
    "ab_14_a_flood_of_wrong_passwords_keeps_nobody_out",
    "ab_14_excess_sign_ins_are_refused_at_once",
    "ab_15_the_time_of_a_reset_does_not_tell",
    "ab_15_the_time_of_a_sign_in_does_not_tell",
    "ab_31_no_password_is_estimated_for_nothing",
    "ab_32_messages_that_do_not_arrive_hold_up_nobody",
    "ab_45_a_dear_hash_starves_nobody",
    "a_second_signal_ends_at_once",
    "a_second_start_keeps_the_operator",
    "excess_calls_are_refused_at_once",
    "js_19_a_large_team_among_many_small_ones_costs_what_a_small_one_does",
    "js_19_a_large_team_costs_what_a_small_one_does",
];

/// How many tests run side by side for each core, most of which wait for a disk, a lock or a timer; and how many the shared PostgreSQL has connections for.
const TESTS_PER_CORE: usize = 4;
const TESTS_AT_ONCE: usize = 16;

/// Runs what the arguments ask for, and says whether all of it passed.
pub(crate) fn run(arguments: &Arguments, together: Vec<Trial>, alone: Vec<Trial>) -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.test_threads.unwrap_or((TESTS_PER_CORE * cores).min(TESTS_AT_ONCE.max(cores)));
    let groups = [(threads, together), (1, alone)];
    let asked_for: Vec<_> =
        groups.into_iter().filter(|(_, trials)| trials.iter().any(|trial| !arguments.is_filtered_out(trial))).collect();
    let passed = |(threads, mut trials): (usize, Vec<Trial>)| {
        trials.sort_by(|a, b| a.name().cmp(b.name()));
        let arguments = Arguments { test_threads: Some(threads), ..arguments.clone() };
        !libtest_mimic::run(&arguments, trials).has_failed()
    };
    // Both, whatever the first says.
    asked_for.into_iter().map(passed).filter(|passed| !passed).count() == 0
}
