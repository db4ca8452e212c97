//! RPC
