//! tmp
use millrace_testbed::*;
use std::time::Instant;
#[tokio::test]
async fn timing() {
    let t = Instant::now();
    let tb = Testbed::up(Plan::default(), Servers::Native).await.unwrap();
    println!("up both 1 member {:?}", t.elapsed());
    let k = tb.kafka();
    let m = tb.mongodb();
    let t = Instant::now();
    k.kill().unwrap();
    k.start().await.unwrap();
    println!("kafka kill+start {:?}", t.elapsed());
    let t = Instant::now();
    k.stop().await.unwrap();
    println!("kafka stop {:?}", t.elapsed());
    let t = Instant::now();
    k.start().await.unwrap();
    println!("kafka start {:?}", t.elapsed());
    let t = Instant::now();
    m.kill(0).unwrap();
    m.start(0).await.unwrap();
    println!("mongo kill+start {:?}", t.elapsed());
    let t = Instant::now();
    m.stop(0).await.unwrap();
    println!("mongo stop {:?}", t.elapsed());
    let t = Instant::now();
    m.start(0).await.unwrap();
    println!("mongo start {:?}", t.elapsed());
    let t = Instant::now();
    m.step_down().await.unwrap();
    println!("mongo stepdown {:?}", t.elapsed());
    let t = Instant::now();
    m.primary().await.unwrap();
    println!("mongo primary again {:?}", t.elapsed());
    let t = Instant::now();
    drop(tb);
    println!("drop {:?}", t.elapsed());
    let t = Instant::now();
    let tb = Testbed::up(Plan::only_mongodb(MongodbPlan::default().members(3)), Servers::Native)
        .await
        .unwrap();
    println!("up 3 members {:?}", t.elapsed());
    let m = tb.mongodb();
    let p = m.primary().await.unwrap();
    let t = Instant::now();
    m.stop(p).await.unwrap();
    println!("mongo stop primary of 3 {:?}", t.elapsed());
    let t = Instant::now();
    m.primary().await.unwrap();
    println!("next primary {:?}", t.elapsed());
    let t = Instant::now();
    m.start(p).await.unwrap();
    println!("start again {:?}", t.elapsed());
    println!("{}", serde_json::to_string(&tb.facts()).unwrap());
}
