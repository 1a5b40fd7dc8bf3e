/** What an alarm says, in the viewer's language, from its rule and numbers; the gateway's sentence is the last resort. */
import { ruleKey } from './alarms';
import { unitText, valueText, type Lang } from './format';
import { t } from './i18n/index.svelte';
import { quantityShort } from './quantities';
import type { Alarm, PointInfo } from './types';

/** "CH₄ above limit": the quantity and the rule. */
export function alarmTitle(alarm: Alarm, point: PointInfo | undefined, lang: Lang): string {
  const key = ruleKey(alarm.rule);
  const subject = point ? quantityShort(point.quantity, lang) : '';
  if (!key) return alarm.text || alarm.rule;
  const word = t(key);
  if (!subject) return word;
  return lang === 'zh' ? `${subject} ${word}` : `${subject} ${word.charAt(0).toLowerCase()}${word.slice(1)}`;
}

/** "1.24 %, limit 1.00": the numbers that justify it, '' when there are none to show. */
export function alarmNumbers(alarm: Alarm, point: PointInfo | undefined): string {
  const { value, limit } = alarm.numbers;
  if (value === undefined || limit === undefined) return '';
  const decimals = point?.decimals ?? 2;
  return t('rule.value_limit', {
    value: valueText(value, decimals),
    unit: unitText(point?.unit ?? ''),
    limit: valueText(limit, decimals),
  }).replace(' ,', ',');
}
