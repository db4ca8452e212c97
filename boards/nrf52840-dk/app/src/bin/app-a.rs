//! The application for slot 0.
#![no_std]
#![no_main]

#[embassy_executor::main]
async fn main(spawner: embassy_executor::Spawner) {
    nrf52840_dk_app::run(spawner).await
}
