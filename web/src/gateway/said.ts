/** The agent speaks English; what an installer meets often is said in Chinese too. Numbers and names stay as they are. */
import { language } from '../lib/i18n/index.svelte';

const SAID: [RegExp, string][] = [
  [/^unreachable$/, '网关程序无应答'],
  [/^(.+) is in use by (.+): two masters.*$/, '$1 正被 $2 占用：一条总线上不能有两个主站'],
  [/^(\d+) bytes came in ([\d.]+) s that nobody here asked for: another master may be on (.+)$/, '$2 秒内在 $3 上听到 $1 字节，可能另有主站在轮询'],
  [/^two masters spoil each other's readings; only if it is noise.*$/, '两个主站会互相破坏读数；确认只是悬空线路的噪声后，再勾选“没有其他主站”'],
  [/^link (.+) is there, and nothing may be sent on it$/, '该处是链路 $1，只许监听，不得发送'],
  [/^another master owns this bus.*$/, '此总线归另一主站所有：可从其通信中学习'],
  [/^link (.+) is polled there$/, '链路 $1 正在此处轮询'],
  [/^agree that its polling stops meanwhile.*$/, '请勾选同意暂停轮询：期间其测点没有读数'],
  [/^another job runs$/, '已有一项操作在进行'],
  [/^stop it first$/, '请先停止'],
  [/^unit (\d+) does not answer$/, '地址 $1 无应答'],
  [/^there is no port (.+)$/, '没有端口 $1'],
  [/^plugged in\? look in (.+)$/, '插好了吗？查看 $1'],
  [/^(.+) is neither a port nor HOST:PORT$/, '$1 既不是端口，也不是 地址:端口'],
  [/^no instrument has answered yet$/, '还没有仪表应答'],
  [/^wait for live values$/, '等到有实时数值'],
  [/^who tests\?$/, '由谁测试？'],
  [/^give an id of letters.*$/, '请填编号（字母、数字、_ . : -），不要填姓名'],
  [/^an id has no spaces.*$/, '编号不含空格；照片以 SHA-256 记录'],
  [/^(.+) means one of (.+) by one register, as the sensor head is$/, '$1 的同一寄存器随探头不同可表示 $2'],
  [/^choose: --signals (.+)$/, '请选择一个信号，例如 $1'],
  [/^(.+) is a (.+)$/, '$1 已是 $2'],
  [/^give the new instrument an id of its own$/, '请给新仪表另取编号'],
  [/^.*: (\d+) fault\(s\)$/, '共 $1 处错误，未写入任何文件'],
  [/^mend each line and run check again$/, '请逐条改正后再试'],
  [/^work on a bus is going on$/, '总线操作正在进行'],
  [/^identification$/, '自报'],
  [/^names (.+)$/, '含 $1'],
  [/^silence$/, '无应答'],
  [/^its sign for no value$/, '无值标志'],
  [/^(.+), as unused registers$/, '$1，像未使用的寄存器'],
  [/^(.+), outside \((.+)\)$/, '$1，超出量程 $2'],
  [/^(.+), no everyday number$/, '$1，不像常见数值'],
  [/^exception 1 .*$/, '异常 1：不支持该功能码'],
  [/^exception 2 .*$/, '异常 2：没有该寄存器'],
  [/^exception 3 .*$/, '异常 3：数值不允许'],
  [/^is in line (\d+) already$/, '已在第 $1 行'],
];

/** What the agent said, in the present language as far as it is known. */
export function saidText(text: string): string {
  if (language.now !== 'zh') return text;
  const found = SAID.find(([pattern]) => pattern.test(text));
  return found ? text.replace(found[0], found[1]) : text;
}
