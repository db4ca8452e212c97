//! The network: an address by DHCP, names by DNS, and one TCP connection. Nothing here waits.

use core::net::Ipv4Addr;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::dns::{DnsQuery, GetQueryResultError, QueryHandle};
use smoltcp::socket::tcp::SocketBuffer;
use smoltcp::socket::{dhcpv4, dns, tcp};
use smoltcp::time::Instant;
use smoltcp::wire::{DnsQueryType, EthernetAddress, IpAddress, IpCidr, Ipv4Cidr};

use crate::emac::{self, Emac};

/// The board's address on Ethernet: one of those that anybody may give.
const ADDRESS: EthernetAddress = EthernetAddress([0x02, 0x53, 0x46, 0x32, 0x00, 0x01]);
/// The same as text.
pub const MAC: &str = "025346320001";

/// Bytes of TCP that may wait to be taken: less than the frames that the chip has room for.
const WINDOW: usize = 8 * 1024;
/// The longest request, in bytes: a URL of 512 and what is around it.
const REQUEST: usize = 1280;
/// Ports from here on are nobody's.
const FIRST_PORT: u16 = 49_152;

/// What travels: 22.9 KiB, all zero at the start.
pub struct Memory {
    emac: emac::Memory,
    received: [u8; WINDOW],
    request: [u8; REQUEST],
}

impl Memory {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { emac: emac::Memory::new(), received: [0; WINDOW], request: [0; REQUEST] }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// Sockets, and who asks DNS. Not zero at the start, so kept apart from [`Memory`].
pub struct Sockets {
    sockets: [SocketStorage<'static>; 3],
    queries: [Option<DnsQuery>; 1],
}

impl Sockets {
    /// None yet.
    pub const fn new() -> Self {
        Self { sockets: [SocketStorage::EMPTY; 3], queries: [None] }
    }
}

impl Default for Sockets {
    fn default() -> Self {
        Self::new()
    }
}

/// What came of asking for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Not yet an answer.
    Pending,
    /// Its address.
    Address(Ipv4Addr),
    /// There is no such name, or nobody to ask.
    Unknown,
}

/// The board's network.
pub struct Network {
    emac: Emac,
    interface: Interface,
    sockets: SocketSet<'static>,
    dhcp: SocketHandle,
    dns: SocketHandle,
    tcp: SocketHandle,
    /// Of the next connection.
    port: u16,
}

impl Network {
    /// Takes the network over. `seed` should differ from start to start, so that connections do not
    /// look like those before a reset; it is no secret.
    pub fn new(
        memory: &'static mut Memory,
        sockets: &'static mut Sockets,
        seed: u64,
        now_ms: u64,
    ) -> Self {
        let Memory { emac, received, request } = memory;
        let Sockets { sockets, queries } = sockets;
        let mut emac = Emac::new(emac, ADDRESS);
        let mut config = Config::new(ADDRESS.into());
        config.random_seed = seed;
        let interface = Interface::new(config, &mut emac, instant(now_ms));
        let mut sockets = SocketSet::new(&mut sockets[..]);
        let dhcp = sockets.add(dhcpv4::Socket::new());
        let dns = sockets.add(dns::Socket::new(&[], &mut queries[..]));
        let buffers = (SocketBuffer::new(&mut received[..]), SocketBuffer::new(&mut request[..]));
        let tcp = sockets.add(tcp::Socket::new(buffers.0, buffers.1));
        // Any of the 16,384 ports.
        let port = FIRST_PORT | seed as u16;
        Self { emac, interface, sockets, dhcp, dns, tcp, port }
    }

    /// Takes what has come, sends what is due.
    pub fn poll(&mut self, now_ms: u64) {
        self.interface.poll(instant(now_ms), &mut self.emac, &mut self.sockets);
        match self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp).poll() {
            None => {}
            Some(dhcpv4::Event::Deconfigured) => self.configure(None, None, &[]),
            Some(dhcpv4::Event::Configured(config)) => {
                let (address, router) = (config.address, config.router);
                let servers = config.dns_servers.first().copied().map(IpAddress::from);
                self.configure(Some(address), router, servers.as_slice());
            }
        }
    }

    fn configure(
        &mut self,
        address: Option<Ipv4Cidr>,
        router: Option<Ipv4Addr>,
        servers: &[IpAddress],
    ) {
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // There is room for two.
            let _ = address.map(|address| addresses.push(IpCidr::Ipv4(address)));
        });
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        // There is room for two.
        let _ = router.map(|router| routes.add_default_ipv4_route(router));
        self.sockets.get_mut::<dns::Socket<'_>>(self.dns).update_servers(servers);
    }

    /// The board's address, if it has one.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.interface.ipv4_addr()
    }

    /// Asks for the address of a host. None: it is no name.
    pub fn resolve(&mut self, name: &str) -> Option<QueryHandle> {
        let dns = self.sockets.get_mut::<dns::Socket<'_>>(self.dns);
        dns.start_query(self.interface.context(), name, DnsQueryType::A).ok()
    }

    /// What came of it. To be asked until it is not [`Resolved::Pending`], and not again.
    pub fn resolved(&mut self, query: QueryHandle) -> Resolved {
        match self.sockets.get_mut::<dns::Socket<'_>>(self.dns).get_query_result(query) {
            Err(GetQueryResultError::Pending) => Resolved::Pending,
            Err(GetQueryResultError::Failed) => Resolved::Unknown,
            // Only addresses of this kind were asked for.
            Ok(found) => found
                .first()
                .map_or(Resolved::Unknown, |IpAddress::Ipv4(address)| Resolved::Address(*address)),
        }
    }

    /// Does not want to know any more; of a query that is [`Resolved::Pending`].
    pub fn forget(&mut self, query: QueryHandle) {
        self.sockets.get_mut::<dns::Socket<'_>>(self.dns).cancel_query(query);
    }

    /// Begins to connect. False: the last connection is not over, or there is no way there.
    pub fn connect(&mut self, address: Ipv4Addr, port: u16) -> bool {
        let tcp = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
        self.port = FIRST_PORT | self.port.wrapping_add(1);
        tcp.connect(self.interface.context(), (address, port), self.port).is_ok()
    }

    /// The connection.
    pub fn tcp(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.tcp)
    }
}

fn instant(now_ms: u64) -> Instant {
    // In 63 bits for 292 million years.
    Instant::from_millis(now_ms as i64)
}
