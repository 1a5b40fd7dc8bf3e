/** The check away from the page; the page ends it by ending the worker. */
import { buffersOf, work, type Message, type Order } from './work';

onmessage = ({ data }: MessageEvent<Order>): void => {
  void work(data, (message: Message) => postMessage(message, { transfer: message.type === 'report' ? buffersOf(message.report) : [] }), () => undefined);
};
