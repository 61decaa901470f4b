import {
  Color,
  ConcreteWidget,
  GraphWidget,
  type HorizontalAnnotation,
  type IMetric,
  LegendPosition,
  LogQueryVisualizationType,
  LogQueryWidget,
} from 'aws-cdk-lib/aws-cloudwatch'
import { burnAlarms, errorBudget } from '../burn-rate.ts'
import { INSIGHT_QUESTIONS, type InsightName } from '../insight-rules.ts'
import { LOG_QUESTIONS, type LogQuestionName, logGroupsOf } from '../saved-queries.ts'
import type { Watched } from '../watched.ts'

/** Three to a row of 24. */
const WIDTH = 8
const HEIGHT = 6
/** So many lines of a contributors' graph can be told apart. */
const CONTRIBUTORS = 10

export interface GraphOptions {
  readonly left: readonly IMetric[]
  readonly right?: readonly IMetric[]
  /** What the left axis counts. */
  readonly unit: string
  readonly limits?: readonly HorizontalAnnotation[]
  readonly stacked?: boolean
  /**
   * Where the left axis ends.
   * @default - where the values do
   */
  readonly most?: number
  /** Whether there may be values below zero. */
  readonly signed?: boolean
  /**
   * Columns, of 24.
   * @default 8
   */
  readonly width?: number
}

/** A graph whose title is a sentence. */
export function graph(title: string, options: GraphOptions): GraphWidget {
  const { left, right = [], unit, limits = [], stacked, most, signed, width } = options
  return new GraphWidget({
    title,
    width: width ?? WIDTH,
    height: HEIGHT,
    left: [...left],
    right: [...right],
    leftAnnotations: [...limits],
    leftYAxis: {
      ...(signed !== true && { min: 0 }),
      ...(most !== undefined && { max: most }),
      label: unit,
      showUnits: false,
    },
    rightYAxis: { min: 0, showUnits: false },
    legendPosition: LegendPosition.BOTTOM,
    ...(stacked !== undefined && { stacked }),
  })
}

/** Where a part of all requests, in percent, would page or open a ticket. */
export function burnLimits(targetPercent: number): readonly HorizontalAnnotation[] {
  const percent = (id: string) => {
    const rate = burnAlarms(targetPercent).find((alarm) => alarm.id === id)?.rate ?? 1
    return Number((rate * errorBudget(targetPercent) * 100).toPrecision(6))
  }
  return [
    { value: percent('1h'), label: 'pages, over an hour', color: Color.RED },
    { value: percent('6h'), label: 'pages, over 6 hours', color: Color.ORANGE },
    { value: percent('1d'), label: 'opens a ticket, over a day', color: Color.GREY },
  ]
}

/** Up to where an answer is a fast one. */
export function fastLimit(latencyMilliseconds: number): readonly HorizontalAnnotation[] {
  return [{ value: latencyMilliseconds, label: 'fast until here', color: Color.GREY }]
}

/** The answer to a saved query, as a table. */
export function logTable(name: LogQuestionName, watched: Watched, width = WIDTH): LogQueryWidget {
  const { title, lines, logs } = LOG_QUESTIONS[name]
  return new LogQueryWidget({
    title,
    width,
    height: HEIGHT,
    view: LogQueryVisualizationType.TABLE,
    logGroupNames: [...logGroupsOf(logs, watched)],
    queryLines: [...lines],
  })
}

/** Who contributes most to what a rule counts. The CDK has no widget for it. */
export class InsightWidget extends ConcreteWidget {
  readonly #name: InsightName
  readonly #prefix: string
  readonly #region: string

  constructor(name: InsightName, place: { readonly prefix: string; readonly region: string }) {
    super(WIDTH, HEIGHT)
    this.#name = name
    this.#prefix = place.prefix
    this.#region = place.region
  }

  toJson(): unknown[] {
    return [
      {
        type: 'metric',
        width: this.width,
        height: this.height,
        x: this.x,
        y: this.y,
        properties: {
          title: INSIGHT_QUESTIONS[this.#name].title,
          region: this.#region,
          view: 'timeSeries',
          period: 300,
          insightRule: {
            ruleName: `${this.#prefix}-${this.#name}`,
            maxContributorCount: CONTRIBUTORS,
            orderBy: 'Sum',
          },
          legend: { position: 'bottom' },
          yAxis: { left: { min: 0, label: 'lines', showUnits: false } },
        },
      },
    ]
  }
}
