import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.format.JsonByteArray;
import java.io.FileOutputStream;
import java.io.ObjectOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * DebeziumToKafka BOOTSTRAP ROWS [--offset JSON] KEY=VALUE...: Debezium's engine, each event as JSON
 * to Kafka, acks=all, the offset behind the acknowledgement. Prints "first" when the first rows are
 * acknowledged and "end N" when ROWS of them are; then it goes on until it is told to stop. The
 * remaining arguments are the connector's options.
 */
public class DebeziumToKafka implements DebeziumEngine.ChangeConsumer<ChangeEvent<byte[], byte[]>> {
    private final KafkaProducer<byte[], byte[]> producer;
    private final long target;
    private long rows;

    DebeziumToKafka(String bootstrap, long target) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("acks", "all");
        p.put("enable.idempotence", "true");
        p.put("linger.ms", "5");
        p.put("batch.size", "262144");
        p.put("key.serializer", ByteArraySerializer.class.getName());
        p.put("value.serializer", ByteArraySerializer.class.getName());
        this.producer = new KafkaProducer<>(p);
        this.target = target;
    }

    @Override
    public void handleBatch(List<ChangeEvent<byte[], byte[]>> events,
            DebeziumEngine.RecordCommitter<ChangeEvent<byte[], byte[]>> committer)
            throws InterruptedException {
        List<Future<RecordMetadata>> sent = new ArrayList<>(events.size());
        long before = rows;
        for (ChangeEvent<byte[], byte[]> e : events) {
            sent.add(producer.send(new ProducerRecord<>(e.destination(), e.key(), e.value())));
            /* not tombstones, and not what is told of transactions or the schema */
            if (e.value() != null && e.destination().indexOf('.') > 0) {
                rows++;
            }
        }
        try {
            for (Future<RecordMetadata> f : sent) {
                f.get();
            }
        } catch (ExecutionException e) {
            throw new RuntimeException(e);
        }
        for (ChangeEvent<byte[], byte[]> e : events) {
            committer.markProcessed(e);
        }
        committer.markBatchFinished();
        if (before == 0 && rows > 0) {
            System.out.println("first");
        }
        if (before < target && rows >= target) {
            System.out.println("end " + rows);
        }
        System.out.flush();
    }

    /** An offset file as the engine would have written it. */
    private static void writeOffset(Properties options, String offset) throws Exception {
        String key = "[\"" + options.getProperty("name") + "\",{\"server\":\""
                + options.getProperty("topic.prefix") + "\"}]";
        HashMap<byte[], byte[]> map = new HashMap<>();
        map.put(key.getBytes(StandardCharsets.UTF_8), offset.getBytes(StandardCharsets.UTF_8));
        try (ObjectOutputStream out = new ObjectOutputStream(
                new FileOutputStream(options.getProperty("offset.storage.file.filename")))) {
            out.writeObject(map);
        }
    }

    public static void main(String[] args) throws Exception {
        Properties options = new Properties();
        String offset = null;
        for (int i = 2; i < args.length; i++) {
            if (args[i].equals("--offset")) {
                offset = args[++i];
                continue;
            }
            int equals = args[i].indexOf('=');
            options.setProperty(args[i].substring(0, equals), args[i].substring(equals + 1));
        }
        if (offset != null) {
            writeOffset(options, offset);
        }
        DebeziumEngine<ChangeEvent<byte[], byte[]>> engine =
                DebeziumEngine.create(JsonByteArray.class)
                        .using(options)
                        .notifying(new DebeziumToKafka(args[0], Long.parseLong(args[1])))
                        .using((ok, message, error) -> {
                            System.out.println("over " + ok + " " + message + " " + error);
                            System.out.flush();
                        })
                        .build();
        engine.run();
    }
}
