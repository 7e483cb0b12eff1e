//! The proxy before a plain server of bytes: what each condition does to a client, and its end.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use millrace_testbed::proxy::{Conditions, Direction, Flow, Gate, Proxy};

/// A server that sends back what it gets; it tells how each connection ended.
struct Echo {
    address: String,
    ends: mpsc::Receiver<Result<(), ErrorKind>>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, ends) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, tell) = (stream.unwrap(), tell.clone());
                thread::spawn(move || {
                    let _ = tell.send(echo(&mut stream).map_err(|error| error.kind()));
                });
            }
        });
        Self { address, ends }
    }
}

fn echo(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            read => stream.write_all(&buffer[..read])?,
        }
    }
}

fn proxy(upstream: &str) -> Proxy {
    tokio::runtime::Runtime::new().unwrap().block_on(Proxy::start(upstream)).unwrap()
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn set(proxy: &Proxy, flow: Flow) {
    proxy.set(Conditions::both(flow)).unwrap();
}

fn gate(gate: Gate) -> Flow {
    Flow { gate, ..Flow::default() }
}

/// The quickest of several: others are late on a loaded machine, none is early.
fn quickest_answer(stream: &mut TcpStream) -> Duration {
    let answer = |stream: &mut TcpStream| {
        let begun = Instant::now();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        begun.elapsed()
    };
    (0..10).map(|_| answer(stream)).min().unwrap()
}

/// What a read says when nothing comes for `wait`.
fn hears_nothing(stream: &mut TcpStream, wait: Duration) -> bool {
    stream.set_read_timeout(Some(wait)).unwrap();
    let heard = stream.read(&mut [0]);
    stream.set_read_timeout(None).unwrap();
    matches!(heard, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn good_network_passes_every_byte_both_ways_and_the_end() {
    let echo = Echo::start();
    let proxy = proxy(&echo.address);
    let mut stream = connect(&proxy);
    let sent: Vec<u8> =
        (0..16_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let received = thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&sent).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    });
    assert!(sent == received, "{} bytes of {}", received.len(), sent.len());
    assert_eq!(proxy.passed_bytes(Direction::ToServer), 16 << 20);
    assert_eq!(proxy.passed_bytes(Direction::ToClient), 16 << 20);
    assert_eq!(echo.ends.recv().unwrap(), Ok(()));
}

#[test]
fn delay_is_added_each_way_and_ends_with_its_undo() {
    let echo = Echo::start();
    let proxy = proxy(&echo.address);
    let mut stream = connect(&proxy);
    let without = quickest_answer(&mut stream);
    assert!(without < Duration::from_millis(10), "{without:?}");
    let flow = |ms| Flow { delay: Duration::from_millis(ms), ..Flow::default() };
    proxy.set(Conditions { to_server: flow(30), to_client: flow(10) }).unwrap();
    let with = quickest_answer(&mut stream);
    assert!((40..50).contains(&with.as_millis()), "{with:?}");
    proxy.set(Conditions::default()).unwrap();
    let undone = quickest_answer(&mut stream);
    assert!(undone < Duration::from_millis(10), "{undone:?}");
}

#[test]
fn delay_does_not_narrow_the_line() {
    let echo = Echo::start();
    let proxy = proxy(&echo.address);
    let delay = Duration::from_millis(50);
    set(&proxy, Flow { delay, ..Flow::default() });
    let mut stream = connect(&proxy);
    let mut writer = stream.try_clone().unwrap();
    let begun = Instant::now();
    // One byte after the other in time: if each waited for the one before, this took 10 s.
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                writer.write_all(b"x").unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        });
        stream.read_exact(&mut [0; 100]).unwrap();
    });
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn throttle_bounds_the_rate_of_a_connection() {
    let echo = Echo::start();
    let proxy = proxy(&echo.address);
    let mut stream = connect(&proxy);
    let to_server = Flow { bytes_per_s: Some(400_000), ..Flow::default() };
    proxy.set(Conditions { to_server, ..Conditions::default() }).unwrap();
    let begun = Instant::now();
    let mut writer = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&[0; 400_000]).unwrap());
        stream.read_exact(&mut vec![0; 400_000]).unwrap();
    });
    let took = begun.elapsed().as_secs_f64();
    assert!((0.95..1.3).contains(&took), "{took} s for 400 kB at 400 kB/s");
    // Small messages are charged for their bytes, not for a slice each.
    let begun = Instant::now();
    for _ in 0..200 {
        stream.write_all(b"0123456789").unwrap();
        stream.read_exact(&mut [0; 10]).unwrap();
    }
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    // What is on its way goes on at the new rate.
    let to_server = Flow { bytes_per_s: Some(20_000), ..Flow::default() };
    proxy.set(Conditions { to_server, ..Conditions::default() }).unwrap();
    stream.write_all(&[0; 400_000]).unwrap();
    thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    proxy.set(Conditions::default()).unwrap();
    stream.read_exact(&mut vec![0; 400_000]).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let none = Flow { bytes_per_s: Some(0), ..Flow::default() };
    assert!(proxy.set(Conditions::both(none)).unwrap_err().to_string().contains("close the gate"));
}

#[test]
fn stall_holds_bytes_back_and_loses_none() {
    let echo = Echo::start();
    let proxy = proxy(&echo.address);
    let mut stream = connect(&proxy);
    quickest_answer(&mut stream);
    set(&proxy, gate(Gate::Stalled));
    stream.write_all(b"late").unwrap();
    assert!(hears_nothing(&mut stream, Duration::from_millis(300)));
    // A sender that does not stop is stopped by full buffers.
    let mut flood = connect(&proxy);
    flood.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let stopped = (0..64).find_map(|_| flood.write_all(&[0; 1 << 20]).err());
    assert_eq!(stopped.unwrap().kind(), ErrorKind::WouldBlock);
    proxy.set(Conditions::default()).unwrap();
    let mut late = [0; 4];
    stream.read_exact(&mut late).unwrap();
    assert_eq!(&late, b"late");
}

#[test]
fn reset_is_seen_by_both_sides_and_the_next_connection_is_good() {
    let echo = Echo::start();
    let proxy = proxy(&echo.address);
    let mut stream = connect(&proxy);
    quickest_answer(&mut stream);
    assert_eq!(proxy.reset(), 1);
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(echo.ends.recv().unwrap(), Err(ErrorKind::ConnectionReset));
    quickest_answer(&mut connect(&proxy));
    assert_eq!(proxy.accepted(), 2);
}

#[test]
fn half_open_connection_takes_all_and_answers_nothing() {
    let echo = Echo::start();
    let proxy = proxy(&echo.address);
    let mut old = connect(&proxy);
    quickest_answer(&mut old);
    set(&proxy, gate(Gate::Swallowing));
    let mut new = connect(&proxy);
    for stream in [&mut old, &mut new] {
        stream.write_all(b"lost").unwrap();
        assert!(hears_nothing(stream, Duration::from_millis(200)));
    }
    // The server is not told that the client has gone.
    let mut gone = connect(&proxy);
    gone.write_all(b"x").unwrap();
    drop(gone);
    assert!(echo.ends.recv_timeout(Duration::from_millis(200)).is_err());
    proxy.set(Conditions::default()).unwrap();
    // A connection that lost bytes must not go on as if it had not.
    assert_eq!(old.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    quickest_answer(&mut connect(&proxy));
}

#[test]
fn port_without_a_server_behind_it_resets_until_there_is_one() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let proxy = proxy(&free);
    let error = connect(&proxy).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let listener = TcpListener::bind(&free).unwrap();
    thread::spawn(move || echo(&mut listener.accept().unwrap().0));
    quickest_answer(&mut connect(&proxy));
}

#[test]
fn dropped_proxy_closes_its_connections_and_its_port() {
    let echo = Echo::start();
    let proxy = proxy(&echo.address);
    let address = proxy.address();
    let mut stream = connect(&proxy);
    quickest_answer(&mut stream);
    drop(proxy);
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!(echo.ends.recv().unwrap(), Ok(()));
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(&address).is_ok() {
        assert!(Instant::now() < deadline, "{address} still accepts");
        thread::sleep(Duration::from_millis(5));
    }
}
