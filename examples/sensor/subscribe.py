# SPDX-License-Identifier: Apache-2.0
"""Print what the modules of a device publish: subscribe.py PORT DEVICE COUNT. Any MQTT client would do."""

import queue
import sys

import paho.mqtt.client as mqtt

PATIENCE_S = 300


def main(port: int, device: str, count: int) -> None:
    """Print so many messages, topic and payload."""
    prefix = f"wasel/1/default/{device}/app/"
    messages: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = lambda _client, _data, message: messages.put(message)
    client.on_connect = lambda *_: client.subscribe(prefix + "#", qos=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for _ in range(count):
        message = messages.get(timeout=PATIENCE_S)
        print(message.topic.removeprefix(prefix), message.payload.decode().strip())
    client.loop_stop()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
