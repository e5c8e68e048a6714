//! Passwords that people choose: estimated and hashed in one place, on the hashing threads, once there is a right to ask for it (ab_31).

use secrecy::{ExposeSecret, SecretString};

use crate::{
    app::{
        App,
        call::{
            context::Ctx,
            error::{Error, Result},
        },
    },
    domain::password,
    platform::{
        hashing::{HashError, Hasher, Requester},
        network::Network,
    },
};

/// A password that somebody has chosen. Its form is in order; whether it is hard to guess is found out when it is hashed.
#[derive(Debug, Clone)]
pub(crate) struct ChosenPassword {
    /// The field of the request that it came in.
    pub(crate) field: String,
    /// The password.
    pub(crate) text: SecretString,
}

impl Ctx {
    /// On whose behalf the call has something hashed: whoever calls, and where in the network the person is for whom they do. Where that is not known, it is the account that tells the
    /// people of one caller apart.
    fn requester(&self, account: u128) -> Requester {
        Requester { caller: self.caller_number(), person: self.network().map_or(account, Network::number) }
    }
}

impl App {
    /// The hashing threads, on behalf of a call that is about an account.
    pub(crate) fn hasher(&self, ctx: &Ctx, account: u128) -> Hasher {
        self.hasher.on_behalf_of(ctx.requester(account))
    }

    /// The hash of a password that somebody has chosen. `words` are the person's own, which attackers try first: addresses and names, all that there are.
    ///
    /// # Errors
    /// A violation of the field where it is too easy to guess; overloaded, where too many are hashing.
    pub(crate) async fn hash_chosen(&self, ctx: &Ctx, chosen: &ChosenPassword, words: &[&str]) -> Result<String> {
        let normal = SecretString::from(password::normalize(chosen.text.expose_secret()).as_str());
        let (policy, own) = (self.passwords, words.iter().map(ToString::to_string).collect::<Vec<_>>());
        let condition = move |password: &str| {
            let own: Vec<&str> = own.iter().map(String::as_str).collect();
            policy.check_strength(password, &own)
        };
        let hasher = self.hasher(ctx, 0);
        let hashed = hasher.hash_if(normal, self.entropy.bytes(), condition).await;
        hashed.map_err(|error| match error {
            HashError::Unacceptable(flaw) => Error::violation(&chosen.field, flaw),
            other => other.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{domain::password::PasswordPolicy, platform::Stopwatch};

    /// Measures what one estimate costs: `cargo test --lib what_the_dearest_estimates_cost -- --ignored --nocapture`.
    #[test]
    #[ignore = "measures"]
    fn what_the_dearest_estimates_cost() {
        let cycled = |signs: &str| signs.chars().cycle().take(256).collect::<String>();
        let long = format!("{}@example.com", "x.y".repeat(18));
        // Once before: the first estimate loads the dictionaries.
        let _ = PasswordPolicy::default().check_strength(&cycled("ab"), &[]);
        for password in [
            cycled("l0v3p4ss"),
            cycled("p@ss4w0rd!1"),
            cycled("4n4st4s10n3s"),
            cycled("m1ch3ll34nn3"),
            cycled("d4n13ll3"),
            cycled("4@8({[<369!1|70$5+%2"),
            cycled("1|7!({[<4@+6"),
            cycled("1|7!({[<4@+6correcthorsebatterystaple"),
            format!("{}{}", "correct horse battery ", cycled("4@8({[<369!1|70$5+%2")),
            format!("1|7{}", cycled("abcdefghijklmnopqrstuvwxyz")),
            cycled("p4ssw0rd"),
            cycled("qwertyuiopasdfghjklzxcvbnm"),
            cycled("a"),
            cycled("ab"),
            cycled("aab"),
            cycled("1234567890"),
            cycled("11/11/11"),
            cycled("loveloveloveabcabcabc"),
            cycled("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.,"),
            cycled("静かな夜に星を数えて眠る子供たち"),
        ] {
            let watch = Stopwatch::start();
            let _ = PasswordPolicy::default().check_strength(&password, &[&long, "Given Name", "Family Name"]);
            eprintln!("{:?} {:?}", watch.elapsed(), password.chars().take(32).collect::<String>());
        }
    }
}
