//! Bad input, through the API of running nodes: shipped programs as processes, over TLS. Each case gets a clear
//! error with what, where and remedy, and changes and loses nothing: the whole database of every node
//! concerned is compared before and after. What must work afterwards is tried too.

mod bad_input {
    mod access;
    mod centre;
    mod ledger;
    mod peer;
    mod raw;
    mod region;
    mod state;
    mod wire;
}
