use relay_tests::skip::{self, Need};

/// A network namespace of a test, deleted on drop. Its methods panic on failure.
pub(crate) struct Namespace(relay_tests::Namespace);

/// Namespaces with the loopback interface up, or `None` if the machine lacks what they need.
pub(crate) fn namespaces<const N: usize>(test: &str) -> Option<[Namespace; N]> {
    skip::possible(test, &[Need::Root, Need::Tools]).then(|| {
        std::array::from_fn(|number| {
            let namespace = relay_tests::Namespace::create(&format!("{test}-{number}"));
            let namespace = Namespace(namespace.expect("`ip netns add` succeeds"));
            namespace.ip("link set lo up");
            namespace
        })
    })
}

impl Namespace {
    /// Runs `work` inside.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.enter(work).expect("a thread can enter the namespace")
    }

    /// Runs a future inside, on a runtime of its own.
    pub(crate) fn block_on<T, F>(&self, work: impl FnOnce() -> F + Send) -> T
    where
        T: Send,
        F: Future<Output = T>,
    {
        self.run(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(work())
        })
    }

    /// Runs `ip` with these words.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        self.0.run("ip", &arguments).expect("`ip` succeeds")
    }

    pub(crate) fn nft(&self, script: &str) -> String {
        self.0.run("nft", &[script]).expect("`nft` succeeds")
    }

    /// Connects two namespaces by a veth pair, both ends up.
    pub(crate) fn veth(&self, name: &str, other: &Self, other_name: &str) {
        let namespace = other.0.name();
        self.ip(&format!("link add {name} type veth peer name {other_name} netns {namespace}"));
        self.ip(&format!("link set {name} up"));
        other.ip(&format!("link set {other_name} up"));
    }
}
